"""Audit files are deleted once their micro-batch is committed; dead letters stay, up to a limit; all are counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from spark_job.accounting.dead_letters import DeadLetters
from spark_job.accounting.open_panes import write_open_from
from spark_job.errors import SinkError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def audit(tmp_path: Path) -> Path:
    """Two batches of one log; the first has two malformed lines of ten bytes each."""
    for batch in ("0-10", "10-20"):
        folder = tmp_path / "audit" / "log-a" / batch
        folder.mkdir(parents=True)
        (folder / f"{batch}.json").write_text("{}")
    (tmp_path / "audit" / "log-a" / "0-10" / "0-10.malformed.jsonl").write_text('{"raw":1}\n' * 2)
    return tmp_path / "audit"


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_committed_batch_is_cleared_and_its_dead_letters_are_kept(audit: Path, tmp_path: Path) -> None:
    letters = DeadLetters(audit, tmp_path / "dead")
    assert letters.clear_audit({"log-a": 10, "log-b": 99}) == 0
    assert names(audit) == ["log-a/10-20/10-20.json"]
    assert names(tmp_path / "dead") == ["log-a/0-10.malformed.jsonl"]
    assert (tmp_path / "dead/log-a/0-10.malformed.jsonl").read_text().count("\n") == 2


def test_the_audit_of_what_was_never_stored_goes_and_what_readers_are_told_stays(audit: Path, tmp_path: Path) -> None:
    write_open_from(audit, 60_000_000)
    DeadLetters(audit, tmp_path / "dead").drop_audit()
    assert names(audit) == ["open-from"]
    assert names(tmp_path / "dead") == []


def test_a_batch_that_may_run_again_keeps_its_audit(audit: Path, tmp_path: Path) -> None:
    assert DeadLetters(audit, tmp_path / "dead").clear_audit({"log-a": 9}) == 0
    assert len(names(audit)) == 3


def test_a_batch_that_ran_again_replaces_its_dead_letters(audit: Path, tmp_path: Path) -> None:
    letters = DeadLetters(audit, tmp_path / "dead", max_bytes=20)
    letters.clear_audit({"log-a": 10})
    (audit / "log-a" / "0-10").mkdir()
    (audit / "log-a" / "0-10" / "0-10.malformed.jsonl").write_text('{"raw":2}\n' * 2)
    assert letters.clear_audit({"log-a": 10}) == 0
    assert '{"raw":2}' in (tmp_path / "dead/log-a/0-10.malformed.jsonl").read_text()


def test_what_does_not_fit_is_deleted_and_counted_also_by_a_new_process(audit: Path, tmp_path: Path) -> None:
    assert DeadLetters(audit, tmp_path / "dead", max_bytes=20).clear_audit({"log-a": 10}) == 0
    (audit / "log-a" / "10-20" / "10-20.malformed.jsonl").write_text("{}\n" * 3)
    assert DeadLetters(audit, tmp_path / "dead", max_bytes=28).clear_audit({"log-a": 20}) == 3
    assert names(tmp_path / "dead") == ["log-a/0-10.malformed.jsonl"]
    assert names(audit) == []


def test_the_instant_from_which_panes_are_open_stays(audit: Path, tmp_path: Path) -> None:
    write_open_from(audit, 7)
    assert DeadLetters(audit, tmp_path / "dead").clear_audit({"log-a": 20}) == 0
    assert names(audit) == ["open-from"]


def test_a_place_that_cannot_be_written_is_an_error(audit: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SinkError, match="cannot be made"):
        DeadLetters(audit, tmp_path / "file" / "dead")
    letters = DeadLetters(audit, tmp_path / "dead")
    (tmp_path / "dead" / "log-a").write_text("in the way")
    with pytest.raises(SinkError, match="dead letters cannot be kept"):
        letters.clear_audit({"log-a": 10})
