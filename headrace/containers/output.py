"""Prints what the commands for the containers show, to standard output."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from headrace.common.text import printable
from headrace.containers.hints import typed
from headrace.containers.lifecycle import failed_services

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from headrace.containers.docker import Container, Engine
    from headrace.containers.settings import Settings

STATUS_TIMEOUT_S = 60.0
PAGES = {
    "spark-master": ("Spark's master, its workers and the job behind it", "HEADRACE_MASTER_UI_PORT"),
    "prometheus": ("Prometheus with the alerts, at /classic/alerts", "HEADRACE_PROMETHEUS_PORT"),
    "history": ("Spark's history", "HEADRACE_HISTORY_PORT"),
}


def show_up(containers: Sequence[Container], settings: Settings, spool: Path) -> None:
    """Print what runs, the addresses of its pages, and the commands to go on with."""
    rows = [("running", _summary(containers))]
    running = {each.service for each in containers}
    for service, (title, port) in PAGES.items():
        if service in running:
            rows.append((f"http://127.0.0.1:{settings[port]}", title))
    rows += [
        (typed("drop", file="access.log"), f"hand over a log; or move a finished file into {spool}"),
        (typed("counts"), "follow the counts; Ctrl-C ends the display only"),
        (typed("status"), f"every stage with its counters; {typed('logs')} shows their logs"),
        (typed("down"), f"stop; all data is kept until {typed('reset')}"),
    ]
    width = max(len(left) for left, _ in rows)
    print_lines(f"{left:<{width}}  {right}" for left, right in rows)


def show_status(engine: Engine, *, as_json: bool) -> int:
    """Print the containers and the status of the stages in them; return the exit code."""
    containers = engine.containers()
    problems = failed_services(containers)
    drivers = [each for each in containers if each.service == "driver" and each.state == "running"]
    if drivers:
        command = ["python", "-m", "headrace.services", "status", *(["--json"] if as_json else [])]
        code, printed = engine.run_in(drivers[0], *command, timeout_s=STATUS_TIMEOUT_S)
    else:
        code, printed = (
            1,
            "" if as_json else "the driver does not run; the stages can be asked only from there\n",
        )
    if as_json:
        shown = [
            {key: value for key, value in asdict(each).items() if key not in ("id", "test")} for each in containers
        ]
        try:
            stages = json.loads(printed)
        except ValueError:
            stages = None
        print_lines([json.dumps({"containers": shown, "faults": problems, "stages": stages}, indent=2)])
    else:
        width = max((len(each.name) for each in containers), default=0)
        print_lines(
            f"{each.name:<{width}}  {each.state:<10} {each.health or '-':<10} {_restarts(each)}".rstrip()
            for each in containers
        )
        print_lines(["", printed.rstrip(), *problems])
    return 1 if problems or code else 0


def show_settings(settings: Settings) -> None:
    """Print each setting with its value and origin, as lines that a file of settings may have."""
    width = max(len(f"{name}={value.text}") for name, value in settings.values.items())
    print_lines(f"{name + '=' + value.text:<{width}}  # {value.origin}" for name, value in settings.values.items())


def print_lines(lines: Iterable[str]) -> None:
    """Print lines to standard output, harmless for terminals."""
    for line in lines:
        sys.stdout.write(printable(line, max_characters=1 << 24, lines=True) + "\n")
    sys.stdout.flush()


def _summary(containers: Sequence[Container]) -> str:
    services = [each.service for each in containers]
    counted = {service: services.count(service) for service in services}
    return ", ".join(service if number == 1 else f"{service} ({number})" for service, number in counted.items())


def _restarts(container: Container) -> str:
    if not container.restarts:
        return ""
    return "restarted once" if container.restarts == 1 else f"restarted {container.restarts} times"
