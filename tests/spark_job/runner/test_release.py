"""When lines are released: at once, or when the commit is on disk; and what becomes of their dead letters."""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import pytest

from spark_job.accounting.dead_letters import DeadLetters
from spark_job.accounting.spark_checkpoint import Checkpoint
from spark_job.runner.release import ReleaseAtOnce
from tests.support.batches import LiveJob, live
from tests.support.counts import LOG, entry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_where_the_table_is_the_only_state_lines_are_released_at_once(tmp_path: Path, opened: ExitStack) -> None:
    job, told = live(opened, tmp_path), list[dict[str, int]]()
    job.leave_letter(0, 5)
    release = ReleaseAtOnce(job.results.table, DeadLetters(tmp_path / "audit", tmp_path / "letters"), told.append)
    release.before_a_batch_is_stored()
    assert (told, job.letters()) == ([], [])
    release.after_a_batch_is_stored({LOG: 5})
    release.when_idle()
    assert (told, job.letters()) == ([{LOG: 5}], ["0-5.malformed.jsonl"])


def test_the_dead_letters_of_the_last_batch_are_kept_without_another_one(tmp_path: Path, opened: ExitStack) -> None:
    job = live(opened, tmp_path, entry(0, 0, 5, malformed=1))
    job.leave_letter(0, 5)
    job.run(0, ("/a", 4))
    job.writer.refresh()
    assert job.letters() == [], "the batch may run again until Spark has committed it"
    job.commit(0, 5)
    job.leave_letter(5, 8)
    job.writer.refresh()
    assert job.letters() == ["0-5.malformed.jsonl"]
    assert (tmp_path / "audit" / LOG / "5-8").is_dir(), "of a batch that runs"
    job.writer.refresh()
    assert job.letters() == ["0-5.malformed.jsonl"]


def settled(job: LiveJob) -> bool:
    newest = job.results.table.newest_stored()
    assert newest is not None
    return newest.settled


def test_the_bridges_are_told_of_a_batch_once_its_commit_is_on_disk(
    tmp_path: Path, opened: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = live(opened, tmp_path, entry(0, 0, 5), entry(1, 5, 7), entry(2, 7, 9))
    happened: list[Any] = job.told
    monkeypatch.setattr(Checkpoint, "sync", lambda _checkpoint: happened.append("synced"))
    job.run(0, ("/a", 5))
    assert (happened, settled(job)) == (["synced"], False)
    job.commit(0, 5)
    job.run(1, ("/a", 7))
    assert (happened, settled(job)) == (["synced", "synced", {LOG: 5}], False)
    job.commit(1, 7)
    job.writer.refresh()
    assert (happened[3:], settled(job)) == (["synced", {LOG: 7}], True)
    job.writer.finish()
    assert happened[5:] == [], "nothing new is committed"
    job.run(2, ("/a", 9))
    assert (happened[5:], settled(job)) == (["synced"], False)


def test_dead_letters_without_room_are_counted_without_another_batch(tmp_path: Path, opened: ExitStack) -> None:
    job = live(opened, tmp_path, entry(0, 0, 5, malformed=1), max_letter_bytes=1)
    job.leave_letter(0, 5)
    job.run(0, ("/a", 4))
    job.commit(0, 5)
    job.writer.refresh()
    assert job.letters() == []
    with closing(sqlite3.connect(tmp_path / "counts.db")) as database:
        dropped = database.execute("SELECT value FROM totals WHERE name = 'dead_letters_dropped'").fetchall()
    assert dropped == [(1,)]
