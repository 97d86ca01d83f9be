"""The batch function: stores, releases, shows; counts what it put off; keeps its error for the watch."""

from __future__ import annotations

from contextlib import ExitStack
from threading import Thread
from typing import TYPE_CHECKING, Any, cast

import pytest

from spark_job.accounting.dead_letters import DeadLetters
from spark_job.runner.batch_writer import BatchWriter
from spark_job.runner.progress import NewestBatch
from spark_job.runner.release import ReleaseAtOnce
from spark_job.sinks.counts_table.reader import CountsReader
from tests.support.batches import LONGEST_WAIT_S, NOW, Changed, Entries, live
from tests.support.counting import Recorder, url_count_results
from tests.support.counts import LOG, entry, rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa

    from spark_job.accounting.ledger import LedgerEntry
    from spark_job.runner.results.url_counts import UrlCountResults


class Frame:
    """The DataFrame of a micro-batch: its plan may run once only, since a second run would read the lines again."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        self.runs = 0

    def toArrow(self) -> pa.Table:  # noqa: N802 -- Spark's name
        self.runs += 1
        return self.table


@pytest.fixture
def sink() -> Recorder:
    return Recorder()


@pytest.fixture
def results(tmp_path: Path, sink: Recorder) -> Iterator[UrlCountResults]:
    with url_count_results(tmp_path, sink) as opened:
        yield opened


class Commits:
    """What the bridges are told, and what the table held on disk at that moment."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.told: list[dict[str, int]] = []

    def __call__(self, positions: dict[str, int]) -> None:
        with CountsReader(self._path) as reader:
            assert reader.positions() == positions, "the bridges may delete what they are told; it must be stored then"
        self.told.append(dict(positions))


def writer_of(folder: Path, results: UrlCountResults, commits: Commits, *entries: LedgerEntry) -> BatchWriter:
    release = ReleaseAtOnce(results.table, DeadLetters(folder / "audit", folder / "letters"), commits)
    return BatchWriter(lambda lines: lines, cast("Any", Entries(*entries)), results, release, lambda: NOW)


def test_a_batch_is_stored_then_committed_then_shown_and_reported(
    tmp_path: Path, results: UrlCountResults, sink: Recorder
) -> None:
    commits = Commits(results.table.path)
    writer = writer_of(tmp_path, results, commits, entry(0, 0, 5))
    assert (writer.newest, writer.positions, writer.tally.read) == (None, {}, 0)
    changed = Frame(rows((0, "/", 5)))
    writer(cast("Any", changed), 0)
    assert changed.runs == 1
    assert [each.batch_id for each in sink.entries] == [0]
    assert commits.told == [{LOG: 5}]
    assert (writer.positions, writer.tally.read, writer.tally.balanced) == ({LOG: 5}, 5, True)
    assert writer.newest == NewestBatch(0, NOW)


def test_what_a_sink_raises_is_kept_and_the_table_has_the_batch(
    tmp_path: Path, results: UrlCountResults, sink: Recorder
) -> None:
    sink.fail_in_batch = 0
    commits = Commits(results.table.path)
    writer = writer_of(tmp_path, results, commits, entry(0, 0, 5))
    with pytest.raises(RuntimeError, match="crash on purpose"):
        writer(cast("Any", Frame(rows((0, "/", 5)))), 0)
    assert str(writer.failure) == "crash on purpose"
    assert (writer.newest, results.table.next_sequence()) == (None, 1)
    assert writer.positions == {}, "who waits for the end of a range must not end the run before its sinks are written"
    sink.fail_in_batch = None
    again = writer_of(tmp_path, results, commits, entry(0, 0, 5))
    assert again.positions == {LOG: 5}, "a new process goes on from the table"
    again(cast("Any", Frame(rows((0, "/", 5)))), 0)
    assert (again.tally.read, results.table.total("hits")) == (5, 5)


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
