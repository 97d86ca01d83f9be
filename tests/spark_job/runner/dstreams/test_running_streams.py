"""Streams as the watch sees them: why they ended, and how they are stopped."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

import pytest
from py4j.protocol import Py4JNetworkError

from spark_job.errors import DataLoss
from spark_job.runner.dstreams.running_streams import RunningStreams

SECOND = timedelta(seconds=1)


class Streams:
    """A streaming context that runs until its Java is gone."""

    def __init__(self) -> None:
        self.started = False
        self.stopped: list[bool] = []
        self.java_is_gone: Exception | None = None

    def start(self) -> None:
        self.started = True

    def awaitTerminationOrTimeout(self, _timeout: int) -> bool:  # noqa: N802 -- pyspark's name
        return False

    def stop(self, *, stopSparkContext: bool, stopGraceFully: bool) -> None:  # noqa: N803 -- pyspark's names
        assert not stopSparkContext
        if self.java_is_gone is not None:
            raise self.java_is_gone
        self.stopped.append(stopGraceFully)


class Part:
    """A planner or a delivery."""

    failure: Exception | None = None


def running(streams: Streams, *parts: Part, interval: timedelta = SECOND) -> RunningStreams:
    return RunningStreams(cast("Any", streams), parts, interval)


def test_a_stop_ends_the_streams_between_two_batches() -> None:
    streams = Streams()
    found = running(streams)
    found.start()
    assert streams.started
    assert found.stop() == ""
    assert streams.stopped == [True]


def test_with_long_intervals_nobody_waits_for_the_next_batch() -> None:
    streams = Streams()
    running(streams, interval=60 * SECOND).stop()
    assert streams.stopped == [False]


def test_a_batch_that_failed_is_the_reason() -> None:
    planner, delivery = Part(), Part()
    found = running(Streams(), planner, delivery)
    found.check()
    delivery.failure = DataLoss("events 3 to 4 are gone")
    with pytest.raises(DataLoss, match="events 3 to 4 are gone"):
        found.check()


def test_a_batch_that_fails_while_the_streams_stop_is_not_lost() -> None:
    delivery = Part()
    delivery.failure = DataLoss("events 3 to 4 are gone")
    with pytest.raises(DataLoss, match="events 3 to 4 are gone"):
        running(Streams(), delivery).stop()


def test_after_a_failure_what_is_not_finished_stays_in_the_checkpoint() -> None:
    streams = Streams()
    running(streams).abandon()
    assert streams.stopped == [False]
    for error in (Py4JNetworkError("Answer from Java side is empty"), ConnectionRefusedError()):
        streams.java_is_gone = error
        running(streams).abandon()
