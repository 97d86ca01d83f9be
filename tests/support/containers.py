"""A project of real containers, driven through make as a user does it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import uuid
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from headrace.container_settings import SETTINGS
from headrace.containers.docker import Engine
from headrace.containers.folder import account
from spark_job.sinks.database import parse_database_url, read_rows
from tests.support.headrace_run import hits_by_url
from tests.support.ports import free_port
from tests.support.source_tree import ROOT
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from headrace.containers.docker import Container
    from spark_job.sinks.database import DatabaseUrl

UP_TIMEOUT_S = 900.0
COUNT_TIMEOUT_S = 240.0
BACK_TIMEOUT_S = 180.0


class ContainersProject:
    """One project with a name, ports and a folder of its own. A context manager that deletes all of it.

    Windows are a week long, so that one log may come any number of times and the table stays small; batches are small,
    so that a load takes a while.
    """

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.name = f"headrace-test-{uuid.uuid4().hex[:8]}"
        self.ports = {
            name: free_port()
            for name in (
                "HEADRACE_MASTER_UI_PORT",
                "HEADRACE_HISTORY_PORT",
                "HEADRACE_PROMETHEUS_PORT",
                "HEADRACE_POSTGRES_PORT",
            )
        }
        self.spool, self.counts_file = folder / "spool", folder / "out" / "counts.jsonl"
        self.owner = account(os.getuid(), os.getgid(), os.environ)
        self.dropped = 0
        """Copies of the log that were handed over so far."""
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("HEADRACE_", "COMPOSE_"))},
            "COMPOSE_PROJECT_NAME": self.name,
            "HEADRACE_SINKS": "console,jsonl:/out/counts.jsonl",
            "HEADRACE_WINDOW": "7d",
            "HEADRACE_MAX_EVENTS": "5000",
            **{name: str(port) for name, port in self.ports.items()},
            **settings,
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.make("reset", "ARGS=--yes")

    @property
    def engine(self) -> Engine:
        """The engine, for looking at the containers."""
        return Engine(self.name, {}, self._environment)

    def make(self, target: str, *arguments: str, timeout_s: float = UP_TIMEOUT_S) -> subprocess.CompletedProcess[str]:
        """Run a target of the Makefile on this project."""
        return subprocess.run(
            ["make", target, f"CONTAINERS={self.folder}", *arguments],
            cwd=ROOT,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def must_make(self, target: str, *arguments: str) -> str:
        """Run a target that must succeed; return what it printed."""
        ended = self.make(target, *arguments)
        assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}\n{self.log_tails()}"
        return ended.stdout

    def take_over(self, archive: Path) -> None:
        """Make folder and volumes as an archive has them: ``folder/`` and ``volumes/NAME/``.

        What is unpacked belongs to the account that the containers run as.
        """
        base_image = self._environment.get("HEADRACE_BASE_IMAGE", SETTINGS["HEADRACE_BASE_IMAGE"].default)
        parts = {"folder": str(self.folder)} | {
            f"volumes/{name}": f"{self.name}_{name}" for name in ("log", "job", "channel", "recovery")
        }
        for part, place in parts.items():
            unpack = f"tar -C /to --strip-components={part.count('/') + 1} -xzpf - {part}"
            owner = f"chown -R {self.owner[0]}:{self.owner[1]} /to"
            command = ["docker", "run", "--rm", "-i", "--user=0:0", "--entrypoint=sh", "-v", f"{place}:/to"]
            subprocess.run(
                [*command, base_image, "-c", f"{unpack} && {owner}"],
                input=archive.read_bytes(),
                check=True,
                timeout=COUNT_TIMEOUT_S,
            )

    def drop(self, log: Path, copies: int = 1) -> None:
        """Hand over ``log`` so many times."""
        self.must_make("drop", f"FILE={' '.join([str(log)] * copies)}")
        self.dropped += copies

    def status(self) -> dict[str, Any]:
        """Return what ``make status`` says for machines."""
        answer = json.loads(self.make("status", "ARGS=--json").stdout)
        assert isinstance(answer, dict)
        return answer

    def counted(self) -> Counter[str]:
        """Return the hits by URL in the file that the JSON-lines sink writes on this machine."""
        return hits_by_url(self.counts_file) if self.counts_file.exists() else Counter()

    @property
    def database(self) -> DatabaseUrl:
        """The database of the profile postgres, as this machine sees it."""
        url = f"postgresql://counter@127.0.0.1:{self.ports['HEADRACE_POSTGRES_PORT']}/counts"
        return parse_database_url(url, self.folder / "secrets" / "database-password")

    def counted_in_database(self) -> Counter[str]:
        """Return the hits by URL in the database's table."""
        found: Counter[str] = Counter()
        for row in read_rows(self.database, "url_counts"):
            found[row["url"]] += row["hits"]
        return found

    def wait_counted(self, hits: int) -> None:
        """Wait until so many hits are counted, then until every stage is up and all sums hold."""
        wait_until(lambda: self.counted().total() >= hits, COUNT_TIMEOUT_S, f"{hits} hits; {self.log_tails()}")
        # The file sink comes before the job's own account, and a stage may still be on its way back.
        wait_until(self.is_sound, BACK_TIMEOUT_S, "every container to be healthy and every sum to hold")

    def is_sound(self) -> bool:
        """Whether ``make status`` finds nothing wrong."""
        return self.make("status").returncode == 0

    def kill(self, service: str) -> Container:
        """End everything in a service's container with SIGKILL; return the container as it was."""
        container = self.engine.running(service)[0]
        # As its own account: no other may, and the engine would take a kill of its own for a stop on purpose.
        self.engine.run_in(container, "sh", "-c", "kill -9 -1")
        return container

    def wait_back(self, killed: Container) -> None:
        """Wait until a container that was killed has been started again, by nobody, and is healthy."""

        def back() -> bool:
            now = next(each for each in self.engine.containers() if each.id == killed.id)
            return now.restarts > killed.restarts and now.state == "running" and now.health == "healthy"

        wait_until(back, BACK_TIMEOUT_S, f"{killed.service} to be back; {self.log_tails()}")

    def log_tails(self) -> str:
        """Return the end of what each container has logged."""
        return "\n".join(f"--- {each.name}\n{self.engine.log_tail(each)}" for each in self.engine.containers())

    @contextmanager
    def following_counts(self) -> Iterator[subprocess.Popen[str]]:
        """Run ``make counts`` for the length of a block."""
        command = ["make", "counts", f"CONTAINERS={self.folder}"]
        with subprocess.Popen(
            command, cwd=ROOT, env=self._environment, stdout=subprocess.PIPE, text=True, start_new_session=True
        ) as following:
            try:
                yield following
            finally:
                os.killpg(following.pid, signal.SIGTERM)


def newest_table(console: str) -> tuple[int, dict[str, int]]:
    """Read the last table on a console: the hits of its window, and those of the URLs that it shows."""
    tables = re.split(r"^(?=\d{4}-\d\d-\d\d .* hits )", console, flags=re.MULTILINE)
    heading, *rows = tables[-1].splitlines()
    hits = re.search(r"([\d,]+) hits", heading)
    assert hits is not None, console
    found = (re.match(r" *\d+ +([\d,]+) .* (\S+)$", row) for row in rows)
    return int(hits[1].replace(",", "")), {row[2]: int(row[1].replace(",", "")) for row in found if row}
