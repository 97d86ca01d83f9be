"""The batch function of the URL counts: stores, shows, cleans up; keeps its error for the watch."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import pytest

from spark_job.accounting.dead_letters import DeadLetters
from spark_job.accounting.spark_checkpoint import Checkpoint
from spark_job.runner.batch_writer import BatchWriter
from spark_job.runner.progress import NewestBatch
from spark_job.sinks.counts_table.writer import CountsTable
from tests.support.counting import Recorder
from tests.support.counts import LOG, entry, rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa

    from spark_job.accounting.ledger import LedgerEntry

NOW = datetime(2026, 1, 2, tzinfo=UTC)


class Changed:
    """The DataFrame of a micro-batch: its plan may run once only, since a second run would read the lines again."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        self.runs = 0

    def toArrow(self) -> pa.Table:  # noqa: N802 -- Spark's name
        self.runs += 1
        return self.table


class Entries:
    """A ledger with given entries; the real one needs Spark's checkpoint of a query that runs."""

    def __init__(self, *entries: LedgerEntry) -> None:
        self.entries = {each.batch_id: each for each in entries}

    def entry(self, batch_id: int) -> LedgerEntry:
        return self.entries[batch_id]


@pytest.fixture
def table(tmp_path: Path) -> Iterator[CountsTable]:
    with CountsTable(tmp_path / "counts.db") as opened:
        yield opened


def writer_of(folder: Path, table: CountsTable, sink: Recorder, *entries: LedgerEntry) -> BatchWriter:
    letters = DeadLetters(folder / "audit", folder / "letters")
    ledger = cast("Any", Entries(*entries))
    return BatchWriter(Checkpoint(folder / "checkpoint"), ledger, table, [sink], letters, now=lambda: NOW)


def test_a_batch_is_stored_then_shown_and_reported(tmp_path: Path, table: CountsTable) -> None:
    sink = Recorder()
    writer = writer_of(tmp_path, table, sink, entry(0, 0, 5, watermark_minute=3))
    assert (writer.newest, writer.positions, writer.tally.read) == (None, {}, 0)
    changed = Changed(rows((0, "/", 5)))
    writer(cast("Any", changed), 0)
    assert changed.runs == 1
    assert [each.batch_id for each in sink.entries] == [0]
    assert (writer.positions, writer.tally.read, writer.tally.balanced) == ({LOG: 5}, 5, True)
    assert writer.newest == NewestBatch(0, NOW, 180_000)


def test_what_a_sink_raises_is_kept_and_the_table_has_the_batch(tmp_path: Path, table: CountsTable) -> None:
    sink = Recorder()
    sink.fail_in_batch = 0
    writer = writer_of(tmp_path, table, sink, entry(0, 0, 5))
    with pytest.raises(RuntimeError, match="crash on purpose"):
        writer(cast("Any", Changed(rows((0, "/", 5)))), 0)
    assert str(writer.failure) == "crash on purpose"
    assert (writer.newest, table.newest_batch()) == (None, 0)
    sink.fail_in_batch = None
    again = writer_of(tmp_path, table, sink, entry(0, 0, 5))
    assert again.positions == {LOG: 5}, "a new process goes on from the table"
    again(cast("Any", Changed(rows((0, "/", 5)))), 0)
    assert (again.tally.read, table.total("hits")) == (5, 5)
