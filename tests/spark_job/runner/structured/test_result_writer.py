"""Rows of a micro-batch in an order and with numbers that a second run of the batch repeats; what a batch puts off."""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa
import pytest

from spark_job.accounting.dead_letters import DeadLetters
from spark_job.accounting.spark_checkpoint import Checkpoint
from spark_job.runner.results.row_results import RowResults
from spark_job.runner.results.shape import ResultShape
from spark_job.runner.structured.result_writer import ResultWriter
from tests.support.counts import LOG, entry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from spark_job.accounting.ledger import LedgerEntry


def table(rows: list[tuple[str, int]]) -> pa.Table:
    return pa.table(
        {"url": [url for url, _ in rows], "hits": [hits for _, hits in rows]},
        pa.schema([("url", pa.string()), ("hits", pa.int64())]),
    )


LONGEST_WAIT_S = 30.0
SCHEMA = pa.schema([("url", pa.string()), ("hits", pa.int64())])


class Changed:
    """The result of a micro-batch. Its plan waits until the test lets it go on."""

    def __init__(self, *rows: tuple[str, int]) -> None:
        self.rows = table(list(rows))
        self.planning, self.may_go_on = Event(), Event()
        self.may_go_on.set()

    def toArrow(self) -> pa.Table:  # noqa: N802 -- Spark's name
        self.planning.set()
        assert self.may_go_on.wait(LONGEST_WAIT_S)
        return self.rows


class Entries:
    """A ledger with given entries; the real one needs Spark's checkpoint of a query that runs."""

    def __init__(self, *entries: LedgerEntry) -> None:
        self._entries = {each.batch_id: each for each in entries}

    def entry(self, batch_id: int) -> LedgerEntry:
        return self._entries[batch_id]


class LiveJob:
    """The batch function of a job over a real table, with a clock that moves a second at each look."""

    def __init__(self, folder: Path, *entries: LedgerEntry, max_letter_bytes: int = 1_000) -> None:
        self.folder = folder
        self.now_s = 0.0
        self.told: list[dict[str, int]] = []
        self.results = RowResults(folder, "by-url", SCHEMA, ("url",), [], top=2, counted="hits", clock=self._clock)
        self.writer = ResultWriter(
            Checkpoint(folder / "checkpoint"),
            cast("Any", Entries(*entries)),
            self.results,
            DeadLetters(folder / "audit", folder / "letters", max_letter_bytes),
            self.told.append,
            lambda: datetime(2026, 1, 2, tzinfo=UTC),
            ResultShape(("url",), "update"),
        )

    def _clock(self) -> float:
        self.now_s += 1.0
        return self.now_s

    def run(self, batch_id: int, *rows: tuple[str, int]) -> None:
        self.writer(cast("Any", Changed(*rows)), batch_id)

    def commit(self, batch_id: int, end: int) -> None:
        """Do what Spark does before and after a micro-batch that ends at an offset."""
        for name, text in (("offsets", f'v1\n{{"batchWatermarkMs": 0}}\n{{"{LOG}": {end}}}'), ("commits", "v1\n{}")):
            (self.folder / "checkpoint" / name).mkdir(parents=True, exist_ok=True)
            (self.folder / "checkpoint" / name / str(batch_id)).write_text(text)

    def leave_letter(self, start: int, end: int) -> None:
        """Write what a reader leaves of a batch with one malformed line."""
        folder = self.folder / "audit" / LOG / f"{start}-{end}"
        folder.mkdir(parents=True)
        (folder / f"{start}-{end}.json").write_text("{}")
        (folder / f"{start}-{end}.malformed.jsonl").write_text('{"raw": "no line"}\n')

    def letters(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "letters").rglob("*.jsonl"))


def live(opened: ExitStack, folder: Path, *entries: LedgerEntry, **more: Any) -> LiveJob:
    job = LiveJob(folder, *entries, **more)
    opened.enter_context(job.results)
    return job


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_lines_that_an_old_count_lacks_are_open_until_they_are_counted_without_another_batch(
    tmp_path: Path, opened: ExitStack
) -> None:
    job = live(opened, tmp_path, entry(0, 0, 5), entry(1, 5, 7))
    job.now_s += 10
    job.run(0, ("/a", 5))
    assert (job.writer.tally.counted, job.writer.tally.open, job.writer.tally.balanced) == (5, 0, True)
    job.run(1, ("/a", 7))
    assert (job.writer.positions, job.writer.tally.read) == ({LOG: 7}, 7)
    assert (job.writer.tally.counted, job.writer.tally.open, job.writer.tally.balanced) == (5, 2, True)
    job.writer.refresh()
    assert job.writer.tally.open == 2, "counting took a second, so it rests for nine"
    job.now_s += 10
    job.writer.refresh()
    assert (job.writer.tally.counted, job.writer.tally.open, job.writer.tally.balanced) == (7, 0, True)


def test_a_count_that_is_wrong_shows_once_it_is_new(tmp_path: Path, opened: ExitStack) -> None:
    job = live(opened, tmp_path, entry(0, 0, 5), entry(1, 5, 9))
    job.now_s += 10
    job.run(0, ("/a", 5))
    job.run(1, ("/a", 7))
    assert job.writer.tally.balanced
    job.now_s += 10
    job.writer.refresh()
    assert str(job.writer.tally).startswith("lines read 9 \N{NOT EQUAL TO} counted 7")


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
    job.writer.settle()
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


def test_a_long_plan_does_not_keep_the_batch_before_it_waiting(tmp_path: Path, opened: ExitStack) -> None:
    job = live(opened, tmp_path, entry(0, 0, 5), entry(1, 5, 7), entry(2, 7, 8))
    job.now_s += 10
    job.run(0, ("/a", 5))
    job.run(1, ("/a", 7))
    job.now_s += 10
    slow = Changed(("/a", 8))
    slow.may_go_on.clear()
    running = Thread(target=job.writer, args=(slow, 2))
    running.start()
    assert slow.planning.wait(LONGEST_WAIT_S)
    job.writer.refresh()
    assert (job.writer.tally.counted, job.writer.tally.open) == (7, 0)
    slow.may_go_on.set()
    running.join(LONGEST_WAIT_S)
    assert (job.writer.failure, job.writer.tally.read) == (None, 8)
