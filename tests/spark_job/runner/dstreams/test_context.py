"""Streams that are stopped, killed at the worst moment, or lose their bridge: the results stay the same."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from dataclasses import replace
from operator import add
from typing import TYPE_CHECKING, Any

import pytest

from spark_job.jobs import url_counts_dstream
from spark_job.runner.dstreams.decoder import rows_of
from spark_job.runner.dstreams.intervals import seconds
from spark_job.runner.dstreams.options import SlidingOptions
from tests.support.bridges import RealBridge
from tests.support.counting import line
from tests.support.streams import SteppedStreams, results_by_time
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession
    from pyspark.streaming.dstream import DStream

pytestmark = pytest.mark.spark

JOB = url_counts_dstream.JOB
WINDOW = 6
OPTIONS = SlidingOptions(window=f"{WINDOW}s", keep="1h")
LAST = 24


def urls_at(second: int) -> list[str]:
    """Return what is asked for in one batch: some URLs always, one each only for a while, nothing in every fifth."""
    if second % 5 == 0:
        return []
    return ["/", "/"] + [f"/{(second * n) % 7}" for n in range(second % 4)] + [f"/once-{second // 3}"]


def lines_at(second: int) -> list[bytes]:
    return [line(second, url) for url in urls_at(second)]


def expected(second: int) -> Counter[str]:
    return Counter(url for each in range(max(second - WINDOW, 0) + 1, second + 1) for url in urls_at(each))


def undisturbed() -> dict[int, Counter[str]]:
    return {second: expected(second) for second in range(1, LAST + 1)}


def counts_without_inverse(tables: DStream[Any], options: SlidingOptions) -> DStream[Any]:
    """Count the URLs of the window, all batches of it anew with every slide."""
    hits = tables.flatMap(rows_of).map(lambda line: (line.url, 1))
    return hits.reduceByKeyAndWindow(add, None, seconds(options.intervals.window), seconds(options.intervals.slide))


def crash(_time_ms: object) -> None:
    raise RuntimeError("killed here")


def feed(bridge: RealBridge, streams: SteppedStreams, until: int) -> None:
    """Let batches run up to that second, each with its lines."""
    for second in range(streams.now_ms // 1000 + 1, until + 1):
        if lines := lines_at(second):
            bridge.extend(lines)
        streams.step()


@pytest.mark.slow
def test_stopped_and_killed_it_goes_on_with_the_same_results(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "job"
    with RealBridge(tmp_path / "log") as bridge:
        with SteppedStreams(spark, JOB, OPTIONS, bridge.address, folder) as streams:
            feed(bridge, streams, 3)
        with SteppedStreams(spark, JOB, OPTIONS, bridge.address, folder) as streams:
            # Recovered before Spark has written a window to disk.
            feed(bridge, streams, 7)
            # Killed after the transaction of a result and before anything else: the batch runs again.
            monkeypatch.setattr(streams.planner, "note_stored", crash)
            bridge.extend(lines_at(8))
            streams.let_due()
            assert "killed here" in str(streams.failed())
            assert 8 in streams.by_time()
        with SteppedStreams(spark, JOB, OPTIONS, bridge.address, folder) as streams:
            feed(bridge, streams, 19)
            # Killed with a batch planned that never ran.
            bridge.extend(lines_at(20))
            streams.planner.plan(20_000)
        bridge.extend(lines_at(21))
        with SteppedStreams(spark, JOB, OPTIONS, bridge.address, folder) as streams:
            # Recovered from a window on disk; what leaves it is read from the bridge again.
            streams.step(2)
            feed(bridge, streams, LAST)
            tally = streams.tally
            assert not list(streams.folder.audit.rglob("*.json")), "what is stored is cleared"
    assert results_by_time(JOB, folder / "counts.db") == undisturbed()
    everything = sum(len(urls_at(second)) for second in range(1, LAST + 1))
    assert (tally.read, tally.counted, tally.balanced) == (everything, everything, True)


@pytest.mark.slow
def test_without_the_inverse_function_the_results_are_the_same(spark: SparkSession, tmp_path: Path) -> None:
    found = {}
    for name, job in (("inverse", JOB), ("plain", replace(JOB, rows=counts_without_inverse))):
        with (
            RealBridge(tmp_path / f"{name}-log") as bridge,
            SteppedStreams(spark, job, OPTIONS, bridge.address, tmp_path / name) as streams,
        ):
            feed(bridge, streams, 12)
            found[name] = streams.by_time()
    assert found["inverse"] == found["plain"] == {second: expected(second) for second in range(1, 13)}


def test_a_bridge_that_goes_while_tasks_read_is_waited_for(
    spark: SparkSession, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with RealBridge(tmp_path / "log") as bridge:
        port = int(bridge.address.rpartition(":")[2])
        with SteppedStreams(spark, JOB, OPTIONS, bridge.address, tmp_path / "job", bridge_timeout_s=0.2) as streams:
            feed(bridge, streams, 1)
            bridge.extend(lines_at(2))
            streams.planner.plan(2_000)
            bridge.__exit__()
            with caplog.at_level(logging.WARNING):
                streams.let_due()
                wait_until(lambda: "is tried again" in caplog.text, 60, "a try to fail")
            back: list[RealBridge] = []
            starting = threading.Thread(target=lambda: back.append(RealBridge(tmp_path / "log", port=port)))
            starting.start()
            starting.join()
            try:
                streams.wait()
                assert streams.by_time() == {1: expected(1), 2: expected(2)}
                assert streams.tally.balanced
            finally:
                back[0].__exit__()
