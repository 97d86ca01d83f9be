"""The watch of a query: when it ends, which error it raises, and that it does not wait for ever."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from threading import Event
from typing import TYPE_CHECKING, cast

import pytest

from spark_job.accounting.tally import Tally
from spark_job.errors import DataLoss, QueryFailed, QueryStalled, SinkError
from spark_job.runner.job_folder import JobFolder
from spark_job.runner.progress import NewestBatch
from spark_job.runner.query_watch import QueryWatch
from spark_job.source.bridge_client import RetryPolicy
from spark_job.source.bridges import Bridges
from spark_job.source.options import parse_flume_options
from tests.support.clock import Clock
from tests.support.counts import LOG
from tests.support.flight_double import FlightDouble, MemoryLog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pyspark.sql.streaming.query import StreamingQuery


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
    """The state of a batch function, as the watch reads it."""

    def __init__(self) -> None:
        self.newest: NewestBatch | None = None
        self.positions: dict[str, int] = {}
        self.tally = Tally()
        self.failure: Exception | None = None


@pytest.fixture
def bridge() -> Iterator[FlightDouble]:
    log = MemoryLog(log_id=LOG)
    log.extend([b"line"] * 5)
    with FlightDouble(log) as double:
        yield double


def watch(
    tmp_path: Path,
    bridge: FlightDouble,
    query: IdleQuery,
    stored: Stored,
    *,
    drain_to_file: Path | None = None,
    stop: Event | None = None,
    background: Callable[[], None] = lambda: None,
) -> JobFolder:
    folder = JobFolder(tmp_path / "job")
    bridges = Bridges(parse_flume_options({"bridges": bridge.address}), RetryPolicy(1.0))
    watched = QueryWatch(
        cast("StreamingQuery", query),
        stored,
        folder,
        bridges,
        stall_after_s=5.0,
        drain_to_file=drain_to_file,
        background=background,
        clock=Clock(step_s=1.0),
    )
    try:
        watched.until_the_end(stop or Event())
    finally:
        bridges.close()
    return folder


def test_a_stop_that_is_asked_for_stops_the_query(tmp_path: Path, bridge: FlightDouble) -> None:
    stop, query = Event(), IdleQuery()
    stop.set()
    folder = watch(tmp_path, bridge, query, Stored(), stop=stop)
    assert not query.isActive
    assert json.loads(folder.progress.read_bytes())["state"] == "stopping"


def test_events_that_wait_without_a_batch_are_a_stall(tmp_path: Path, bridge: FlightDouble) -> None:
    with pytest.raises(QueryStalled, match="5 events wait, and no micro-batch has ended for"):
        watch(tmp_path, bridge, IdleQuery(), Stored())
    assert json.loads((tmp_path / "job" / "progress.json").read_bytes())["waiting"] == 5


def test_nothing_waiting_is_no_stall_and_a_drain_ends_it(tmp_path: Path, bridge: FlightDouble) -> None:
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
                stored.newest = NewestBatch(0, datetime(2026, 1, 2, tzinfo=UTC))
                stored.positions = {LOG: 5}
            if self.looks == 12:
                drain.write_text(json.dumps({LOG: 5}))
            return True

        @isActive.setter
        def isActive(self, value: bool) -> None: ...  # noqa: N802 -- pyspark's name

    query = CountsLater()
    folder = watch(tmp_path, bridge, query, stored, drain_to_file=drain)
    assert query.looks >= 12, "twelve looks without a batch would have been a stall"
    assert json.loads(folder.progress.read_bytes())["waiting"] == 0


def test_a_query_that_died_says_why(tmp_path: Path, bridge: FlightDouble) -> None:
    error = RuntimeError("Traceback\nspark_job.errors.DataLoss: events 3 to 4 are gone\n  at java.lang.Thread")
    with pytest.raises(DataLoss, match="events 3 to 4 are gone"):
        watch(tmp_path, bridge, IdleQuery(error, active=False), Stored())
    with pytest.raises(QueryFailed, match="without an error"):
        watch(tmp_path, bridge, IdleQuery(active=False), Stored())


def test_what_the_background_raises_ends_the_watch_without_a_batch(tmp_path: Path, bridge: FlightDouble) -> None:
    calls, stored = 0, Stored()
    stored.positions = {LOG: 5}

    def fail_in_the_third_call() -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise SinkError("out.jsonl: cannot be written: No space left on device")

    with pytest.raises(SinkError, match=r"out\.jsonl: .*No space left"):
        watch(tmp_path, bridge, IdleQuery(), stored, background=fail_in_the_third_call)
    assert (calls, stored.newest) == (3, None)
