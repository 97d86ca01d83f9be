"""The keeper of a query: when it ends, what it says of the end, and that it does not wait for ever."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from threading import Event
from typing import TYPE_CHECKING, cast

import pytest

from spark_job.accounting.tally import Tally
from spark_job.errors import DataLoss, OptionError, QueryFailed, QueryStalled, SinkError, SparkJobError
from spark_job.runner.batch_writer import Progress
from spark_job.runner.job_folder import JobFolder
from spark_job.runner.progress import write_progress
from spark_job.runner.query_watch import QueryKeeper, cause_of, read_drain_file
from spark_job.sinks.counts_table.writer import CountsTable
from spark_job.source.bridge_client import RetryPolicy
from spark_job.source.bridges import Bridges
from spark_job.source.options import parse_flume_options
from tests.support.counts import LOG, entry, store
from tests.support.flight_double import FlightDouble, MemoryLog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyspark.sql.streaming.query import StreamingQuery

    from spark_job.runner.batch_writer import BatchWriter


class IdleQuery:
    """A query of which nothing comes; a real one that hangs cannot be had on request."""

    def __init__(self, error: Exception | None = None, *, active: bool = True) -> None:
        self.isActive = active
        self.error = error
        self.lastProgress = None
        self.status = {"isTriggerActive": False, "isDataAvailable": False}

    def exception(self) -> Exception | None:
        return self.error

    def stop(self) -> None:
        self.isActive = False


class Stored:
    """What the keeper asks of the batch function."""

    def __init__(self) -> None:
        self.last: Progress | None = None
        self.failure: Exception | None = None

    @property
    def positions(self) -> dict[str, int]:
        return self.last.positions if self.last else {}

    @property
    def tally(self) -> Tally:
        return self.last.tally if self.last else Tally()


class Clock:
    """A second passes with each look."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        self.now_s += 1.0
        return self.now_s


@pytest.fixture
def bridge() -> Iterator[FlightDouble]:
    log = MemoryLog(log_id=LOG)
    log.extend([b"line"] * 5)
    with FlightDouble(log) as double:
        yield double


@pytest.fixture
def progress(tmp_path: Path) -> Progress:
    """All five events are counted."""
    with CountsTable(tmp_path / "counts.db") as table:
        changed = store(table, entry(0, 0, 5, watermark_minute=3), [(0, "/", 5)])
        return Progress(changed.entry, changed.tally, table.positions(), datetime(2026, 1, 2, tzinfo=UTC))


def keep(
    tmp_path: Path,
    bridge: FlightDouble,
    query: IdleQuery,
    stored: Stored,
    *,
    drain_to_file: Path | None = None,
    stop: Event | None = None,
) -> JobFolder:
    folder = JobFolder(tmp_path / "job")
    bridges = Bridges(parse_flume_options({"bridges": bridge.address}), RetryPolicy(1.0))
    keeper = QueryKeeper(
        cast("StreamingQuery", query),
        cast("BatchWriter", stored),
        folder,
        bridges,
        stall_after_s=5.0,
        drain_to_file=drain_to_file,
        clock=Clock(),
    )
    try:
        keeper.keep(stop or Event())
    finally:
        bridges.close()
    return folder


def test_a_stop_that_is_asked_for_stops_the_query(tmp_path: Path, bridge: FlightDouble) -> None:
    stop, query = Event(), IdleQuery()
    stop.set()
    folder = keep(tmp_path, bridge, query, Stored(), stop=stop)
    assert not query.isActive
    assert json.loads(folder.progress.read_bytes())["state"] == "stopping"


def test_events_that_wait_without_a_batch_are_a_stall(tmp_path: Path, bridge: FlightDouble) -> None:
    with pytest.raises(QueryStalled, match="5 events wait, and no batch has ended for"):
        keep(tmp_path, bridge, IdleQuery(), Stored())
    assert json.loads((tmp_path / "job" / "progress.json").read_bytes())["waiting"] == 5


def test_nothing_waiting_is_no_stall_and_a_drain_ends_it(
    tmp_path: Path, bridge: FlightDouble, progress: Progress
) -> None:
    drain = tmp_path / "drain.json"
    stored = Stored()

    class CountsLater(IdleQuery):
        """Has counted everything by the time it is looked at the third time."""

        looks = 0

        def exception(self) -> Exception | None:
            return None

        @property
        def isActive(self) -> bool:  # noqa: N802 -- pyspark's name
            self.looks += 1
            if self.looks == 2:
                stored.last = progress
            if self.looks == 12:
                drain.write_text(json.dumps({LOG: 5}))
            return True

        @isActive.setter
        def isActive(self, value: bool) -> None: ...  # noqa: N802 -- pyspark's name

    query = CountsLater()
    folder = keep(tmp_path, bridge, query, stored, drain_to_file=drain)
    assert query.looks >= 12, "twelve looks without a batch would have been a stall"
    assert json.loads(folder.progress.read_bytes())["waiting"] == 0


def test_a_query_that_died_says_why(tmp_path: Path, bridge: FlightDouble) -> None:
    error = RuntimeError("Traceback\nspark_job.errors.DataLoss: events 3 to 4 are gone\n  at java.lang.Thread")
    with pytest.raises(DataLoss, match="events 3 to 4 are gone"):
        keep(tmp_path, bridge, IdleQuery(error, active=False), Stored())
    with pytest.raises(QueryFailed, match="without an error"):
        keep(tmp_path, bridge, IdleQuery(active=False), Stored())


LONG_TRACE = """[STREAM_FAILED] Query [id = 1, runId = 2] terminated with exception: [PYTHON_DATA_SOURCE_ERROR]
Traceback (most recent call last):
  File "planning.py", line 60, in latest_offset
spark_job.errors.BridgeUnavailable: first cause

During handling of the above exception, another exception occurred:

ValueError: what came of it
 SQLSTATE: 38000
"""


@pytest.mark.parametrize(
    ("error", "failure", "kind", "text"),
    [
        (RuntimeError(LONG_TRACE), None, SparkJobError, "first cause"),
        (RuntimeError("x"), SinkError("the disk is full"), SinkError, "the disk is full"),
        (RuntimeError("x"), KeyError("surprise"), QueryFailed, "KeyError: 'surprise'"),
        (RuntimeError("trace\nValueError: odd\n at x"), None, QueryFailed, "ValueError: odd"),
        (RuntimeError("no trace at all\nsecond line"), None, QueryFailed, "no trace at all"),
        (RuntimeError("long " * 1000), None, QueryFailed, "..."),
    ],
)
def test_the_cause_is_one_sentence(
    error: Exception, failure: Exception | None, kind: type[SparkJobError], text: str
) -> None:
    cause = cause_of(error, failure)
    assert isinstance(cause, kind)
    assert text in str(cause)
    assert "\n" not in str(cause)
    assert len(str(cause)) < 600


@pytest.mark.parametrize("text", ["", "[]", '{"log": "x"}', '{"log": null}'])
def test_a_drain_file_in_another_form_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "drain").write_text(text)
    with pytest.raises(OptionError, match="--drain-to-file"):
        read_drain_file(tmp_path / "drain")


def test_progress_is_told_in_full(tmp_path: Path, progress: Progress) -> None:
    path = tmp_path / "progress.json"
    write_progress(
        path, "running", datetime(2026, 1, 3, tzinfo=UTC), progress, positions=progress.positions, tally=progress.tally
    )
    told = json.loads(path.read_bytes())
    assert told["state"] == "running"
    assert told["checked_at"] == "2026-01-03T00:00:00Z"
    assert told["batch_at"] == "2026-01-02T00:00:00Z"
    assert told["watermark"] == "1970-01-01T00:03:00Z"
    assert told["positions"] == {LOG: 5}
    assert told["tally"]["balanced"] is True
