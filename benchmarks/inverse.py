"""What the inverse function of a window saves: the same counts, sliding by 1 s, with it and without.

Both windows get the same hits, one after the other in one Spark, on a clock that waits until a batch is done. A slide
is timed from the tick of the clock to the collected result, once the window is full; the results are compared.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from operator import add, sub
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spark_job.runner.dstreams.context import CONTEXT_SETTINGS, manual_clock, open_streams
from spark_job.runner.dstreams.direct_stream import epoch_ms, every_batch
from spark_job.runner.session import SessionSettings, start_session, stop_session

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.core.rdd import RDD
    from pyspark.streaming import StreamingContext
    from pyspark.streaming.dstream import DStream

    from benchmarks.scale import Scale

SLIDE_S = 1
URLS = 1_000
EVENTS_PER_ROUND = 500
SECOND_MS = 1_000
BATCH_TIMEOUT_S = 300.0


def run(scale: Scale, _corpus: Path | None) -> None:
    """Measure and print; a batch has a five-hundredth of the scale's events."""
    hits = max(scale.events // EVENTS_PER_ROUND, 1)
    print(
        f"inverse: window {scale.window_s} s, slide {SLIDE_S} s, {hits:,} hits a batch on {URLS:,} URLs, median of "
        f"{scale.slides}"
    )
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as name:
        folder = Path(name)
        settings = CONTEXT_SETTINGS | {"spark.streaming.clock": "org.apache.spark.util.ManualClock"}
        spark = start_session(SessionSettings("headrace benchmark", folder, compile_lightly=True, more=settings))
        try:
            with_inverse = _slides(spark.sparkContext, folder / "inverse", hits, scale, inverse=True)
            without = _slides(spark.sparkContext, folder / "plain", hits, scale, inverse=False)
        finally:
            stop_session(spark)
    if with_inverse.results != without.results:
        raise RuntimeError("the two windows disagree: they would not be compared fairly")
    print(f"    with the inverse function       {with_inverse.median_s:8.2f} s a slide")
    print(f"    without it                      {without.median_s:8.2f} s a slide")
    print(f"    without / with                x {without.median_s / with_inverse.median_s:8.1f}")


@dataclass
class Slides:
    """Results by batch number, and how long the timed ones took."""

    first: int
    results: dict[int, dict[str, int]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)

    @property
    def median_s(self) -> float:
        """Median time of a slide."""
        return statistics.median(self.seconds)


_collected: list[Slides] = []


def _slides(context: SparkContext, folder: Path, hits: int, scale: Scale, *, inverse: bool) -> Slides:
    # A plain window needs no result before the first timed one; with the inverse each is made of the one before.
    slides = Slides(first=1 if inverse else scale.window_s)
    _collected.append(slides)
    window_s, last = scale.window_s, scale.window_s + scale.slides

    def build(new: StreamingContext) -> None:
        _build(new, folder / "no-files", hits, window_s, inverse=inverse)

    ssc = open_streams(context, folder, timedelta(seconds=SLIDE_S), build)
    ssc.start()
    try:
        clock = manual_clock(ssc)
        for number in range(1, last + 1):
            slides.done.clear()
            began_s = time.perf_counter()
            clock.advance(SECOND_MS)
            if not slides.done.wait(BATCH_TIMEOUT_S):
                raise RuntimeError(f"batch {number} was not done within {BATCH_TIMEOUT_S:.0f} s")
            if number > window_s:
                slides.seconds.append(time.perf_counter() - began_s)
            _show(number, last)
    finally:
        ssc.stop(stopSparkContext=False, stopGraceFully=False)
    slides.results = {number: slides.results[number] for number in range(window_s + 1, last + 1)}
    return slides


def _build(ssc: StreamingContext, empty: Path, hits: int, window_s: int, *, inverse: bool) -> None:
    source = every_batch(ssc, empty)
    counts: DStream[Any] = source.transform(lambda time, rdd: _hits(time, rdd, hits)).reduceByKeyAndWindow(
        add, sub if inverse else None, window_s, SLIDE_S, filterFunc=(lambda count: count[1] > 0) if inverse else None
    )
    counts.foreachRDD(_collect)


def _hits(time: datetime, rdd: RDD[str], hits: int) -> RDD[tuple[str, int]]:
    number = epoch_ms(time) // SECOND_MS
    numbers = rdd.context.parallelize(range(number * hits, (number + 1) * hits), 1)
    return numbers.map(lambda each: (f"/{each * each % URLS}", 1))


def _collect(time: datetime, rdd: RDD[tuple[str, int]]) -> None:
    slides, number = _collected[-1], epoch_ms(time) // SECOND_MS
    if number >= slides.first:
        slides.results[number] = dict(rdd.collect())
    slides.done.set()


def _show(number: int, last: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r    batch {number} of {last}" + "\r\n" * (number == last))
