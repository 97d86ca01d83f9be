"""The batch function of the URL counts: stores, shows, cleans up; keeps its error for the watch."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from spark_job.accounting.dead_letters import DeadLetters
from spark_job.accounting.open_panes import read_open_from
from spark_job.runner.batch_writer import BatchWriter
from spark_job.runner.counts_table_run import shower, teller
from spark_job.runner.progress import NewestBatch
from spark_job.sinks.counts_table.reader import CountsReader, Window
from spark_job.sinks.counts_table.writer import CountsTable, Retention
from spark_job.windows import Windows
from tests.support.counting import Recorder
from tests.support.counts import LOG, MINUTE_US, entry, rows

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


class Commits:
    """What the bridges are told, and what the table held on disk at that moment."""

    def __init__(self, table: CountsTable) -> None:
        self._path = table.path
        self.told: list[dict[str, int]] = []

    def __call__(self, positions: dict[str, int]) -> None:
        with CountsReader(self._path) as reader:
            assert reader.positions() == positions, "the bridges may delete what they are told; it must be stored then"
        self.told.append(dict(positions))


def writer_of(folder: Path, table: CountsTable, sink: Recorder, *entries: LedgerEntry) -> BatchWriter[list[Window]]:
    return BatchWriter(
        sums=lambda lines: lines,
        ledger=cast("Any", Entries(*entries)),
        table=table,
        commit=Commits(table),
        show=shower(table, [sink]),
        dead_letters=DeadLetters(folder / "audit", folder / "letters"),
        now=lambda: NOW,
        tell_readers=teller(table, Windows(timedelta(minutes=1), timedelta(minutes=1)), folder / "audit"),
    )


def test_a_batch_is_stored_then_committed_then_shown_and_reported(tmp_path: Path, table: CountsTable) -> None:
    sink = Recorder()
    writer = writer_of(tmp_path, table, sink, entry(0, 0, 5))
    assert (writer.newest, writer.positions, writer.tally.read) == (None, {}, 0)
    changed = Changed(rows((0, "/", 5)))
    writer(cast("Any", changed), 0)
    assert changed.runs == 1
    assert [each.batch_id for each in sink.entries] == [0]
    assert cast("Any", writer)._commit.told == [{LOG: 5}]
    assert (writer.positions, writer.tally.read, writer.tally.balanced) == ({LOG: 5}, 5, True)
    assert writer.newest == NewestBatch(0, NOW)


def test_what_a_sink_raises_is_kept_and_the_table_has_the_batch(tmp_path: Path, table: CountsTable) -> None:
    sink = Recorder()
    sink.fail_in_batch = 0
    writer = writer_of(tmp_path, table, sink, entry(0, 0, 5))
    with pytest.raises(RuntimeError, match="crash on purpose"):
        writer(cast("Any", Changed(rows((0, "/", 5)))), 0)
    assert str(writer.failure) == "crash on purpose"
    assert (writer.newest, table.next_sequence()) == (None, 1)
    sink.fail_in_batch = None
    again = writer_of(tmp_path, table, sink, entry(0, 0, 5))
    assert again.positions == {LOG: 5}, "a new process goes on from the table"
    again(cast("Any", Changed(rows((0, "/", 5)))), 0)
    assert (again.tally.read, table.total("hits")) == (5, 5)


def test_the_readers_of_the_next_batch_are_told_what_is_closed(tmp_path: Path) -> None:
    with CountsTable(tmp_path / "counts.db", retention=Retention(max_rows=1)) as table:
        writer = writer_of(tmp_path, table, Recorder(), entry(0, 0, 2))
        assert read_open_from(tmp_path / "audit") is None
        writer(cast("Any", Changed(rows((3, "/", 1), (4, "/", 1)))), 0)
        assert read_open_from(tmp_path / "audit") == 4 * MINUTE_US
        (tmp_path / "audit" / "open-from").unlink()
        writer_of(tmp_path, table, Recorder())
        assert read_open_from(tmp_path / "audit") == 4 * MINUTE_US, "a start writes it again"
