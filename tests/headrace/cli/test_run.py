"""The commands on a run of this machine, where none runs; and their way to the containers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from headrace.state_folder import StateFolder

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.support.command_line import CommandLine


def test_drop_says_what_it_did(command: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "access.log").write_text("one\ntwo\n")
    (tmp_path / "empty.log").write_text("")
    dropped = command("drop", "access.log", "empty.log")
    assert dropped.code == 0
    assert "access.log: 2 lines handed over as " in dropped.out
    assert "empty.log: empty, not handed over" in dropped.out
    assert len(list((tmp_path / "state" / "spool").iterdir())) == 1


def test_drop_says_whether_somebody_reads_the_folder(command: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "access.log").write_text("one\n")
    assert (
        "no run holds state now: the next start in that folder counts what waits" in command("drop", "access.log").err
    )
    # Who reads a spool folder that is named by itself is not known.
    assert command("drop", "--spool", str(tmp_path / "spool"), "access.log").err == ""
    with StateFolder(tmp_path / "state").lock():
        assert command("drop", "access.log").err == ""


def test_stop_and_status_without_a_run(command: CommandLine) -> None:
    stopped = command("stop")
    assert stopped.code == 1
    assert "nothing runs in" in stopped.err
    shown = command("status")
    assert shown.code == 1
    assert "the bridge is down" in shown.out
    machine = command("status", "--json")
    assert machine.code == 1
    assert json.loads(machine.out)["faults"] == ["the agent is down", "the bridge is down", "the job is down"]


def test_files_for_the_containers_go_into_their_spool_folder(command: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "access.log").write_text("one\ntwo\n")
    (tmp_path / "mine" / "spool").mkdir(parents=True)
    dropped = command("drop", "--containers", "--folder", str(tmp_path / "mine"), "access.log")
    assert (dropped.code, dropped.err) == (0, "")
    assert dropped.out.startswith("access.log: 2 lines handed over as ")
    (handed,) = (tmp_path / "mine" / "spool").iterdir()
    assert handed.read_text() == "one\ntwo\n"
    assert not (tmp_path / "state").exists()


def test_the_status_of_containers_needs_an_engine_and_not_a_state_folder(
    command: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    shown = command("status", "--containers", "--folder", str(tmp_path / "mine"))
    assert (shown.code, shown.out) == (1, "")
    assert "no Docker engine was found" in shown.err
    assert list(tmp_path.iterdir()) == []
