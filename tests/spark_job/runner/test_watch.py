"""The watch: when a run ends, which error it raises, and that it does not wait for ever."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest
from py4j.protocol import Py4JNetworkError

from spark_job.accounting.tally import Tally
from spark_job.errors import DataLoss, QueryFailed, QueryStalled, SinkError
from spark_job.runner.bridge_positions import status_bridges
from spark_job.runner.job_folder import JobFolder
from spark_job.runner.job_settings import JobSettings
from spark_job.runner.progress import NewestBatch
from spark_job.runner.watch import Watch
from spark_job.source.options import parse_flume_options
from tests.support.clock import Clock
from tests.support.counts import LOG
from tests.support.flight_double import FlightDouble, MemoryLog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Idle:
    """A run in which nothing happens but what the test says at each look; a real one that hangs cannot be had."""

    def __init__(self, at_look: Callable[[int], None] = lambda _look: None, problem: str = "") -> None:
        self.at_look = at_look
        self.problem = problem
        self.looks = 0
        self.started = self.stopped = False

    def start(self) -> None:
        self.started = True

    def check(self) -> None:
        self.looks += 1
        self.at_look(self.looks)

    def progress(self) -> None:
        return None

    def stop(self) -> str:
        self.stopped = True
        return self.problem


class Stored:
    """What a batch function shows to the watch."""

    def __init__(self) -> None:
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
    tmp_path: Path,
    bridge: FlightDouble,
    running: Idle,
    stored: Stored | None,
    *,
    stop: Event | None = None,
    drain: Path | None = None,
    later: tuple[Callable[[], None], ...] = (),
) -> dict[str, Any]:
    """Watch until the end; return the last report."""
    job = JobFolder(tmp_path / "job")
    settings = JobSettings(stall_after="5s", drain_to_file=drain)
    with closing(status_bridges(parse_flume_options({"bridges": bridge.address}))) as bridges:
        Watch(running, job, settings, stored, bridges, later, Clock(step_s=1.0)).until_the_end(stop or Event())
    return dict(json.loads(job.progress.read_bytes())) if job.progress.exists() else {}


def test_a_stop_that_is_asked_for_stops_the_run(tmp_path: Path, bridge: FlightDouble) -> None:
    stop, running = Event(), Idle(problem="the query did not stop in time")
    stop.set()
    told = watch(tmp_path, bridge, running, Stored(), stop=stop)
    assert running.started
    assert running.stopped
    assert (told["state"], told["error"], told["waiting"]) == ("stopping", "the query did not stop in time", 5)


def test_events_that_wait_without_a_batch_are_a_stall(tmp_path: Path, bridge: FlightDouble) -> None:
    with pytest.raises(QueryStalled, match="5 events wait, and no batch has ended for"):
        watch(tmp_path, bridge, Idle(), Stored())
    assert json.loads((tmp_path / "job" / "progress.json").read_bytes())["waiting"] == 5


def test_nothing_waiting_is_no_stall_and_a_drain_ends_it(tmp_path: Path, bridge: FlightDouble) -> None:
    drain, stored = tmp_path / "drain.json", Stored()

    def at_look(look: int) -> None:
        if look == 2:
            stored.newest = NewestBatch(1_000, datetime(2026, 1, 2, tzinfo=UTC))
            stored.positions = {LOG: 5}
        if look == 12:
            drain.write_text(json.dumps({LOG: 5}))

    running = Idle(at_look)
    told = watch(tmp_path, bridge, running, stored, drain=drain)
    assert running.looks >= 12, "twelve looks without a batch would have been a stall"
    assert (told["waiting"], told["batch_id"]) == (0, 1_000)


def test_where_nobody_counts_offsets_only_the_run_itself_ends_the_watch(tmp_path: Path, bridge: FlightDouble) -> None:
    stop = Event()

    def at_look(look: int) -> None:
        if look == 12:
            stop.set()

    told = watch(tmp_path, bridge, Idle(at_look), None, stop=stop)
    assert (told["state"], told["waiting"]) == ("stopping", None)
    assert "tally" not in told


def test_a_run_that_died_says_why(tmp_path: Path, bridge: FlightDouble) -> None:
    def die(_look: int) -> None:
        raise DataLoss("events 3 to 4 are gone")

    running = Idle(die)
    with pytest.raises(DataLoss, match="events 3 to 4 are gone"):
        watch(tmp_path, bridge, running, Stored())
    assert not running.stopped


def test_what_a_later_call_raises_ends_the_watch_without_a_batch(tmp_path: Path, bridge: FlightDouble) -> None:
    calls, stored = 0, Stored()
    stored.positions = {LOG: 5}

    def fail_in_the_third_call() -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise SinkError("out.jsonl: cannot be written: No space left on device")

    with pytest.raises(SinkError, match=r"out\.jsonl: .*No space left"):
        watch(tmp_path, bridge, Idle(), stored, later=(fail_in_the_third_call,))
    assert (calls, stored.newest) == (3, None)


@pytest.mark.parametrize("stopped", [True, False])
def test_a_sink_that_fails_while_the_run_stops_is_an_error(
    tmp_path: Path, bridge: FlightDouble, *, stopped: bool
) -> None:
    stop, drain, stored = Event(), tmp_path / "drain.json", Stored()
    if stopped:
        stop.set()
    stored.positions = {LOG: 5}
    drain.write_text(json.dumps({LOG: 5}))

    class Failing(Idle):
        def stop(self) -> str:
            raise SinkError("postgresql: the server is gone")

    with pytest.raises(SinkError, match="the server is gone"):
        watch(tmp_path, bridge, Failing(), stored, stop=stop, drain=drain)


def test_a_dead_java_is_said_unless_a_stop_has_killed_it(tmp_path: Path, bridge: FlightDouble) -> None:
    stop = Event()

    def die(_look: int) -> None:
        raise Py4JNetworkError("Answer from Java side is empty")

    with pytest.raises(QueryFailed, match=r"the Java side of Spark has died; .* has java\.log and spark\.log"):
        watch(tmp_path, bridge, Idle(die), Stored())

    def stopped_and_die(_look: int) -> None:
        stop.set()
        raise Py4JNetworkError("Answer from Java side is empty")

    watch(tmp_path, bridge, Idle(stopped_and_die), Stored(), stop=stop)
