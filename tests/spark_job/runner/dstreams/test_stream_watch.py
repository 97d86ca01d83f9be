"""The watch of streams: when it ends, which error it raises, and that it does not wait for ever."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import TYPE_CHECKING, Any, cast

import pytest
from py4j.protocol import Py4JNetworkError

from spark_job.accounting.tally import Tally
from spark_job.errors import DataLoss, QueryFailed, QueryStalled, SinkError
from spark_job.runner.bridge_positions import status_bridges
from spark_job.runner.dstreams.stream_watch import StreamWatch
from spark_job.runner.job_folder import JobFolder
from spark_job.runner.job_settings import JobSettings
from spark_job.runner.progress import NewestBatch
from spark_job.source.options import parse_flume_options
from tests.support.flight_double import FlightDouble, MemoryLog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LOG = "log-a"
SECOND = timedelta(seconds=1)


class Streams:
    """A streaming context in which nothing happens but what the test says at each look."""

    def __init__(self, at_look: Callable[[int], None] = lambda _look: None) -> None:
        self.at_look = at_look
        self.looks = 0
        self.stopped: list[bool] = []

    def start(self) -> None:
        """Do nothing."""

    def awaitTerminationOrTimeout(self, _timeout: int) -> bool:  # noqa: N802 -- pyspark's name
        self.looks += 1
        self.at_look(self.looks)
        return False

    def stop(self, *, stopSparkContext: bool, stopGraceFully: bool) -> None:  # noqa: N803 -- pyspark's names
        assert not stopSparkContext
        self.stopped.append(stopGraceFully)


class Delivered:
    """What a delivery and a planner show to the watch."""

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self.newest: NewestBatch | None = None
        self.positions: dict[str, int] = {}
        self.tally = Tally()


@pytest.fixture
def bridge() -> Iterator[FlightDouble]:
    log = MemoryLog(log_id=LOG)
    log.extend([b"line"] * 5)
    with FlightDouble(log) as double:
        yield double


def watch(
    folder: Path,
    bridge: FlightDouble,
    streams: Streams,
    delivery: Delivered,
    *,
    stop: Event | None = None,
    drain: Path | None = None,
    interval: timedelta = SECOND,
    background: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Watch until the end; return the last report."""
    now_s = 0.0

    def clock() -> float:
        nonlocal now_s
        now_s += 1.0
        return now_s

    job = JobFolder(folder / "job")
    settings = JobSettings(stall_after="5s", drain_to_file=drain)
    with closing(status_bridges(parse_flume_options({"bridges": bridge.address}))) as bridges:
        found = cast("Any", delivery)
        watched = StreamWatch(
            cast("Any", streams), found, found, job, bridges, settings, interval, background=background, clock=clock
        )
        watched.until_the_end(stop or Event())
    return dict(json.loads(job.progress.read_bytes())) if job.progress.exists() else {}


def test_a_stop_ends_the_streams_between_two_batches(tmp_path: Path, bridge: FlightDouble) -> None:
    stop, streams = Event(), Streams()
    stop.set()
    assert watch(tmp_path, bridge, streams, Delivered(), stop=stop)["state"] == "stopping"
    assert streams.stopped == [True]


def test_with_long_intervals_nobody_waits_for_the_next_batch(tmp_path: Path, bridge: FlightDouble) -> None:
    stop, streams = Event(), Streams()
    stop.set()
    watch(tmp_path, bridge, streams, Delivered(), stop=stop, interval=60 * SECOND)
    assert streams.stopped == [False]


def test_events_that_wait_without_a_batch_are_a_stall(tmp_path: Path, bridge: FlightDouble) -> None:
    streams = Streams()
    with pytest.raises(QueryStalled, match="5 events wait, and no batch has ended for"):
        watch(tmp_path, bridge, streams, Delivered())
    assert streams.stopped == [False]


def test_nothing_waiting_is_no_stall_and_a_drain_ends_it(tmp_path: Path, bridge: FlightDouble) -> None:
    drain, delivery = tmp_path / "drain.json", Delivered()

    def at_look(look: int) -> None:
        if look == 2:
            delivery.newest = NewestBatch(1_000, datetime(2026, 1, 2, tzinfo=UTC))
            delivery.positions = {LOG: 5}
        if look == 12:
            drain.write_text(json.dumps({LOG: 5}))

    streams = Streams(at_look)
    told = watch(tmp_path, bridge, streams, delivery, drain=drain)
    assert streams.looks >= 12, "twelve looks without a batch would have been a stall"
    assert (told["waiting"], told["batch_id"]) == (0, 1_000)


def test_what_the_background_raises_ends_the_streams(tmp_path: Path, bridge: FlightDouble) -> None:
    calls = 0

    def fail_in_the_third_call() -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise SinkError("out.jsonl: cannot be written: No space left on device")

    streams, delivery = Streams(), Delivered()
    delivery.positions = {LOG: 5}
    with pytest.raises(SinkError, match=r"out\.jsonl: .*No space left"):
        watch(tmp_path, bridge, streams, delivery, background=fail_in_the_third_call)
    assert streams.stopped == [False]


def test_a_batch_that_failed_ends_the_streams_with_its_error(tmp_path: Path, bridge: FlightDouble) -> None:
    delivery = Delivered()
    delivery.failure = DataLoss("events 3 to 4 are gone")
    streams = Streams()
    with pytest.raises(DataLoss, match="events 3 to 4 are gone"):
        watch(tmp_path, bridge, streams, delivery)
    assert streams.stopped == [False], "what is not finished stays in the checkpoint"


def test_a_dead_java_is_said_unless_a_stop_has_killed_it(tmp_path: Path, bridge: FlightDouble) -> None:
    stop = Event()

    def die(_look: int) -> None:
        raise Py4JNetworkError("Answer from Java side is empty")

    with pytest.raises(QueryFailed, match=r"the Java side of Spark has died; .* has java\.log and spark\.log"):
        watch(tmp_path, bridge, Streams(die), Delivered())

    def stopped_and_die(_look: int) -> None:
        stop.set()
        raise Py4JNetworkError("Answer from Java side is empty")

    watch(tmp_path, bridge, Streams(stopped_and_die), Delivered(), stop=stop)
