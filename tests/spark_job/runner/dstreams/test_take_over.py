"""The sum of an earlier version moves from the file of plans into the results table, once, whatever was killed."""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack, closing
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from spark_job.errors import JobFolderError
from spark_job.jobs import status_per_batch
from spark_job.ranges import LogRange
from spark_job.sinks.database import Database, parse_database_url, read_rows
from spark_job.sinks.database.ledger import stored_batch
from spark_job.sinks.database.write import TableWriter
from tests.support.deliveries import DeliveryWorld, write_audit
from tests.support.flight_double import FlightDouble, MemoryLog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

JOB = status_per_batch.JOB
OLD_ID = "11111111-2222-3333-4444-555555555555"
# As the class PlannedBatches of DStream jobs made the file up to commit 6fa047f, with its names in meta.
OLD_SCHEMA = """
CREATE TABLE batches (
    time_ms INTEGER PRIMARY KEY, starts TEXT NOT NULL, ends TEXT NOT NULL, booked INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE sum (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    read INTEGER NOT NULL, counted INTEGER NOT NULL, malformed INTEGER NOT NULL, lost INTEGER NOT NULL
) STRICT;
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
"""


class EarlierJob:
    """A job folder of an earlier version: one event a batch, and rows in counts.db and in a copy of it."""

    def __init__(self, folder: Path, *, in_sum: int, stored: int, planned: int) -> None:
        self.folder = folder
        self.log = MemoryLog(log_id="log-a", bodies=[b"x"] * planned)
        with closing(sqlite3.connect(folder / "batches.db")) as plans:
            plans.executescript(OLD_SCHEMA)
            for name, value in (("query_id", OLD_ID), ("origin", '{"log-a": 0}'), ("first_ms", "1000")):
                plans.execute("INSERT INTO meta VALUES (?, ?)", (name, value))
            for second in range(1, planned + 1):
                values = (second * 1000, f'{{"log-a": {second - 1}}}', f'{{"log-a": {second}}}', second <= in_sum)
                plans.execute("INSERT INTO batches VALUES (?, ?, ?, ?)", values)
            plans.execute("INSERT INTO sum VALUES (1, ?, ?, 0, 0)", (in_sum, in_sum))
            plans.commit()
        for name in ("counts.db", "copy.db"):
            with Database(parse_database_url(f"sqlite:///{folder / name}")) as database:
                writer = TableWriter(database, JOB.table, JOB.schema, JOB.stored_key, create=True)
                for second in range(1, stored + 1):
                    rows = JOB.stored_rows(second * 1000, timedelta(seconds=1), [row(second)])
                    writer.write(rows, query_id=OLD_ID, batch_id=second * 1000)
        for second in range(in_sum + 1, stored + 1):
            write_audit(folder / "audit", LogRange("log-a", second - 1, second))

    def opened(self, opened: ExitStack, *, recovers: bool = True) -> DeliveryWorld:
        """Start the job of today in the folder."""
        bridge = opened.enter_context(FlightDouble(self.log))
        copy = f"sqlite:///{self.folder / 'copy.db'}"
        return DeliveryWorld(self.folder, bridge, opened, JOB, copy, recovers=recovers)

    def run(self, world: DeliveryWorld, second: int) -> None:
        """Let a new batch of one event run."""
        self.log.extend([b"x"])
        world.run(second * 1000, row(second))

    def rows_in(self, name: str) -> list[tuple[float, int]]:
        """Return second and hits of each row in one of the databases."""
        found = read_rows(parse_database_url(f"sqlite:///{self.folder / name}"), JOB.table)
        return [(each["batch_time"].timestamp(), each["status"]) for each in found]

    def stored_in_copy(self) -> int:
        """Return what the ledger of the copy has."""
        with Database(parse_database_url(f"sqlite:///{self.folder / 'copy.db'}")) as database:
            return stored_batch(database, OLD_ID, JOB.table)


def row(second: int) -> tuple[Any, ...]:
    """Return the result of a batch, which nobody mistakes for that of another one."""
    return ("bot", second, 1)


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_the_sum_of_the_same_batch_continues(tmp_path: Path, opened: ExitStack) -> None:
    earlier = EarlierJob(tmp_path, in_sum=3, stored=3, planned=3)
    world = earlier.opened(opened)
    assert str(world.delivery.tally) == "lines read 3 = counted 3 + malformed 0"
    assert world.delivery.positions == world.results.table.positions() == {"log-a": 3}
    assert (world.results.table.table_id(), world.results.table.newest_batch_id()) == (OLD_ID, 3000)
    earlier.run(world, 4)
    assert earlier.rows_in("counts.db") == earlier.rows_in("copy.db") == [(n, n) for n in range(1, 5)]
    assert world.delivery.tally.read == 4
    assert earlier.stored_in_copy() == 3001


@pytest.mark.parametrize("recovers", [True, False])
def test_a_batch_that_was_stored_and_not_in_the_sum_is_in_it_once(
    tmp_path: Path, opened: ExitStack, *, recovers: bool
) -> None:
    earlier = EarlierJob(tmp_path, in_sum=1, stored=2, planned=3)
    world = earlier.opened(opened, recovers=recovers)
    assert (world.delivery.tally.read, world.delivery.tally.counted, world.delivery.positions) == (2, 2, {"log-a": 2})
    if recovers:
        world.run(2000, row(2))
        world.run(3000, row(3))
    # Without the checkpoint the third batch, which never ran, is planned again under another time.
    earlier.run(world, 4)
    times = [1, 2, 3, 4] if recovers else [1, 2, 4]
    assert earlier.rows_in("counts.db") == earlier.rows_in("copy.db") == [(n, n) for n in times]
    assert (world.delivery.tally.read, world.delivery.tally.balanced) == (4, True)


def test_what_was_planned_and_never_stored_is_stored_then(tmp_path: Path, opened: ExitStack) -> None:
    earlier = EarlierJob(tmp_path, in_sum=0, stored=0, planned=1)
    world = earlier.opened(opened)
    assert (world.delivery.tally.read, world.delivery.positions) == (0, {"log-a": 0})
    world.run(1000, row(1))
    assert (world.delivery.tally.read, earlier.rows_in("copy.db")) == (1, [(1, 1)])


@pytest.mark.parametrize(
    ("stored", "planned", "reason"),
    [(1, 2, "ends at batch 1000, the sum in .* at 2000: was the table replaced"), (3, 2, "3000, which is not planned")],
)
def test_files_that_do_not_fit_are_refused_and_nothing_changes(
    tmp_path: Path, opened: ExitStack, stored: int, planned: int, reason: str
) -> None:
    earlier = EarlierJob(tmp_path, in_sum=2, stored=stored, planned=planned)
    with pytest.raises(JobFolderError, match=reason):
        earlier.opened(opened)
    with closing(sqlite3.connect(tmp_path / "batches.db")) as plans:
        assert plans.execute("SELECT read FROM sum").fetchall() == [(2,)]


def test_a_sum_that_was_taken_over_before_a_kill_is_not_added_again(tmp_path: Path) -> None:
    earlier = EarlierJob(tmp_path, in_sum=3, stored=3, planned=3)
    before = (tmp_path / "batches.db").read_bytes()
    for _ in range(2):
        with ExitStack() as opened:
            assert earlier.opened(opened).delivery.tally.read == 3
        with closing(sqlite3.connect(tmp_path / "batches.db")) as plans:
            tables = {name for (name,) in plans.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        assert tables == {"batches", "meta"}
        (tmp_path / "batches.db").write_bytes(before)
