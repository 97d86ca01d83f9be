"""The state folder: one run at a time, records that are whole, refusals that say why."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from headrace.errors import StateLocked, StateUnusable
from headrace.state_folder import FORMAT_VERSION, RunRecord, StageRecord, StateFolder

if TYPE_CHECKING:
    from pathlib import Path

HOLD_THE_LOCK = """
import sys
from pathlib import Path
from headrace.state_folder import StateFolder
with StateFolder(Path(sys.argv[1])).lock():
    print("locked", flush=True)
    sys.stdin.read()
"""


def record_of(tmp_path: Path) -> RunRecord:
    record = RunRecord(run_id="r", pid=1, started="2026-01-02T03:04:05Z", spool=str(tmp_path / "elsewhere"))
    record.stages["bridge"] = StageRecord(state="ready", pid=7, restarts=2, ports={"avro": 4141})
    return record


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    assert state.read_run() is None
    state.write_run(record_of(tmp_path))
    assert state.read_run() == record_of(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_the_spool_folder_is_that_of_the_run_unless_one_is_named(tmp_path: Path) -> None:
    assert StateFolder(tmp_path).spool == tmp_path / "spool"
    StateFolder(tmp_path).write_run(record_of(tmp_path))
    assert StateFolder(tmp_path).spool == tmp_path / "elsewhere"
    assert StateFolder(tmp_path, tmp_path / "mine").spool == tmp_path / "mine"


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"version": 1, "stages": {"bridge": {"port": 1}}}'])
def test_a_damaged_record_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(StateUnusable, match=r"run\.json cannot be read"):
        StateFolder(tmp_path).read_run()


def test_a_record_of_a_newer_version_is_not_taken_for_damage(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(f'{{"version": {FORMAT_VERSION + 1}}}')
    with pytest.raises(StateUnusable, match="newer version"):
        StateFolder(tmp_path).read_run()


def test_two_runs_cannot_share_a_folder_and_a_killed_one_frees_it(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    assert not state.is_locked()
    command = [sys.executable, "-c", HOLD_THE_LOCK, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        assert state.is_locked()
        with pytest.raises(StateLocked, match=f"in use by process {holder.pid}"), state.lock():
            pass
        holder.kill()
        holder.wait()
    assert not state.is_locked()
    with state.lock():
        assert StateFolder(tmp_path).is_locked()


def test_a_folder_that_must_be_new_may_be_there_but_empty(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    state.create(must_be_new=True)
    assert {path.name for path in tmp_path.iterdir()} == {"spool", "agent", "bridge", "job", "logs"}
    with pytest.raises(StateUnusable, match="not empty"):
        state.create(must_be_new=True)
    state.create()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateUnusable, match="cannot create the folder"):
        StateFolder(tmp_path / "file" / "state").create()


def test_the_record_of_a_run_is_for_its_account_alone(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    state.write_run(RunRecord("id", 1, "2026-01-01T00:00:00+00:00", str(state.spool)))
    assert (tmp_path / "run.json").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]
