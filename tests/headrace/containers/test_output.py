"""What is printed of containers: how to go on after ``up``, their status, and their settings."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from headrace.containers import output
from headrace.containers.docker import Container, Engine
from headrace.containers.hints import CALLED_BY
from headrace.containers.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

BRIDGE = Container("b", "p_bridge_1", "bridge", 1, "running", "healthy", 0, 0, "", ())
DRIVER = Container("d", "p_driver_1", "driver", 1, "running", "healthy", 2, 0, "", ())
MASTER = Container("m", "p_spark-master_1", "spark-master", 1, "running", "healthy", 0, 0, "", ())


class Answering:
    """An engine whose driver answers the question for the status."""

    def __init__(self, containers: Sequence[Container], code: int, printed: str) -> None:
        self._containers = list(containers)
        self._answer = (code, printed)

    def containers(self) -> list[Container]:
        return self._containers

    def run_in(self, container: Container, *command: str, timeout_s: float) -> tuple[int, str]:
        assert container == DRIVER
        assert command[:4] == ("python", "-m", "headrace.services", "status")
        assert timeout_s > 0
        return self._answer


def status(containers: Sequence[Container], code: int = 0, printed: str = "{}", *, as_json: bool = True) -> int:
    return output.show_status(cast("Engine", Answering(containers, code, printed)), as_json=as_json)


def test_after_up_the_pages_and_the_next_commands_are_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings({"HEADRACE_MASTER_UI_PORT": "8099"}, Path("/nowhere/.env"))
    monkeypatch.setenv(CALLED_BY, "make")
    output.show_up([BRIDGE, replace(BRIDGE, number=2), MASTER], settings, Path("/spool"))
    shown = capsys.readouterr().out
    assert "running" in shown.splitlines()[0]
    assert "bridge (2), spark-master" in shown
    assert "http://127.0.0.1:8099" in shown
    assert "prometheus" not in shown.lower(), "it does not run"
    assert [line.split("  ")[0] for line in shown.splitlines()[-4:]] == [
        "make drop FILE=access.log",
        "make counts",
        "make status",
        "make down",
    ]


def test_the_status_has_the_containers_and_the_stages(capsys: pytest.CaptureFixture[str]) -> None:
    assert status([BRIDGE, DRIVER], printed='{"job": {"read": 7}}') == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["faults"], shown["stages"]) == ([], {"job": {"read": 7}})
    assert [(each["name"], each["restarts"]) for each in shown["containers"]] == [("p_bridge_1", 0), ("p_driver_1", 2)]
    assert status([BRIDGE, DRIVER], printed="job  up\n", as_json=False) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "p_driver_1  running    healthy    restarted 2 times"
    assert "job  up" in lines


@pytest.mark.parametrize(
    ("containers", "code", "problem"),
    [
        ([replace(BRIDGE, state="exited", exit_code=137), DRIVER], 0, "p_bridge_1 is exited (exit code 137)"),
        ([BRIDGE, DRIVER], 1, "a sum does not hold"),
        ([BRIDGE], 0, "the driver does not run"),
    ],
)
def test_what_is_wrong_is_said_and_fails(
    capsys: pytest.CaptureFixture[str], containers: list[Container], code: int, problem: str
) -> None:
    assert status(containers, code, "a sum does not hold\n", as_json=False) == 1
    assert problem in capsys.readouterr().out


def test_settings_are_printed_as_a_file_of_settings_with_their_origin(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    chosen = tmp_path / "docker" / ".env"
    chosen.parent.mkdir()
    chosen.write_text("HEADRACE_TOP=5\n")
    settings = Settings({"HEADRACE_WINDOW": "1m"}, chosen)
    output.show_settings(settings)
    shown = capsys.readouterr().out
    lines = {line.partition("=")[0]: line.split("  # ") for line in shown.splitlines()}
    assert [part.strip() for part in lines["HEADRACE_TOP"]] == ["HEADRACE_TOP=5", "docker/.env"]
    assert [part.strip() for part in lines["HEADRACE_WINDOW"]] == ["HEADRACE_WINDOW=1m", "environment"]
    assert set(lines) == set(settings.values)
