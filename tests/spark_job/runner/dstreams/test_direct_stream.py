"""The functions of a direct stream find the planner and the delivery of the process that they run in."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from pyspark import cloudpickle

from spark_job.runner.dstreams import direct_stream
from spark_job.runner.dstreams.direct_stream import beginning_with, epoch_ms, serving


class Recorder:
    """A planner and a delivery in one, which keep what they are called with."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []

    def plan(self, time_ms: int) -> None:
        self.calls.append(("plan", time_ms))

    def deliver(self, time_ms: int, _rdd: Any) -> None:
        self.calls.append(("deliver", time_ms))

    def finish(self, time_ms: int) -> None:
        self.calls.append(("finish", time_ms))


def local(second: float) -> datetime:
    """Return an instant as pyspark passes it: local time without a zone."""
    return datetime.fromtimestamp(second)  # noqa: DTZ006 -- that is what pyspark does


@pytest.mark.parametrize("second", [0.001, 1.0, 1_795_738_664.123, 1_795_738_664.999])
def test_a_batch_time_keeps_every_millisecond(second: float) -> None:
    assert epoch_ms(local(second)) == round(second * 1000)
    assert epoch_ms(datetime.fromtimestamp(second, UTC)) == round(second * 1000)


def test_functions_are_pickled_by_name_and_serve_whoever_serves_now() -> None:
    names = ("_planned", "_deliver", "_finish")
    dumps: Any = cloudpickle.dumps
    pickled = [dumps(getattr(direct_stream, name)) for name in names]
    assert max(map(len, pickled)) < 120, "a name, and no planner"
    first, second = Recorder(), Recorder()
    for served, time_s in ((first, 1.0), (second, 2.0)):
        with serving(cast("Any", served), cast("Any", served)):
            for function in map(pickle.loads, pickled):
                function(local(time_s), None)
    assert first.calls == [("plan", 1000), ("deliver", 1000), ("finish", 1000)]
    assert second.calls == [("plan", 2000), ("deliver", 2000), ("finish", 2000)]
    with pytest.raises(IndexError):
        direct_stream._planned(local(3.0), cast("Any", None))


def test_nothing_to_begin_with_adds_nothing_to_the_stream() -> None:
    stream = cast("Any", object())
    assert beginning_with(stream, []) is stream
