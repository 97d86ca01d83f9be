"""A direct stream from Python: no receiver; at each batch time the driver picks ranges, and tasks read them.

pyspark has no input stream that asks Python what a batch holds. One is made of two parts: a stream of Spark's own that
gives an empty RDD in every batch, and a transformation that throws that RDD away and returns the batch's own. The first
part is a stream of the files in a folder that stays empty. Others were found wanting: a ``ConstantInputDStream`` of the
JVM takes its RDD into the checkpoint, where that loses its SparkContext (SPARK-13758), and a recovered stream dies with
the first batch that Spark lets go of; a queue of RDDs cannot be in a checkpoint at all.

Spark pickles the functions of a stream into its checkpoint. A feed holds connections and the settings of one process,
above all where the bridges are *now*; so the functions here are pickled by their names, and find the feed and the
delivery of the process that they run in (:func:`serving`).
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path
    from typing import Any

    import polars as pl
    from pyspark.core.rdd import RDD
    from pyspark.streaming import StreamingContext
    from pyspark.streaming.dstream import DStream

    from spark_job.runner.dstreams.batch_planner import Feed


class Delivery(Protocol):
    """Takes results on the driver, one batch after the other."""

    def deliver(self, time_ms: int, rdd: RDD[Any]) -> None:
        """Compute the result of a batch and store it under its time; may come again with the same result."""

    def settle(self, time_ms: int) -> None:
        """Do what is left to do once the results of a batch are stored. Comes for every batch, results or not."""


_serving: list[tuple[Feed, Delivery]] = []


@contextmanager
def serving(feed: Feed, delivery: Delivery) -> Iterator[None]:
    """Let the streams of this process read from ``feed`` and deliver to ``delivery``. Spark runs one set of them."""
    _serving.append((feed, delivery))
    try:
        yield
    finally:
        _serving.pop()


def every_batch(ssc: StreamingContext, empty: Path) -> DStream[str]:
    """Return a stream with nothing in it. ``empty`` is a folder that nobody writes to; the checkpoint has its name."""
    empty.mkdir(parents=True, exist_ok=True)
    return ssc.textFileStream(str(empty))


def direct_stream(source: DStream[str]) -> DStream[pl.DataFrame]:
    """Return the stream of what the bridges hold, as tables of rows; ``source`` is that of :func:`every_batch`."""
    return source.transform(_tables)


def beginning_with(stream: DStream[Any], initial: list[Any]) -> DStream[Any]:
    """Return the stream with the elements of ``initial`` in its first batch as well.

    Spark has a parameter for an initial state (``initialRDD``), but that RDD is of no use in a recovered context: a job
    killed before its state was first written to disk could not go on.
    """
    return stream.transform(lambda time, rdd: _with_initial(time, rdd, initial)) if initial else stream


def deliver_results(source: DStream[str], results: DStream[Any]) -> None:
    """Deliver what a stream computes, and settle every batch of ``source`` after its result, if it has one."""
    results.foreachRDD(_deliver)
    # This one is there in every batch, also between two slides: so ranges are picked when it is their time.
    source.transform(_planned).foreachRDD(_settle)


def epoch_ms(time: datetime) -> int:
    """Return a batch time as Spark has it: pyspark hands it over as local time without a zone."""
    return round(time.timestamp() * 1000)


def _tables(time: datetime, rdd: RDD[str]) -> RDD[pl.DataFrame]:
    feed, _ = _serving[-1]
    return feed.rdd(epoch_ms(time), rdd.context)


def _with_initial(time: datetime, rdd: RDD[Any], initial: list[Any]) -> RDD[Any]:
    feed, _ = _serving[-1]
    return rdd.union(rdd.context.parallelize(initial, 1)) if feed.is_first(epoch_ms(time)) else rdd


def _planned(time: datetime, rdd: RDD[str]) -> RDD[str]:
    feed, _ = _serving[-1]
    feed.plan(epoch_ms(time))
    return rdd


def _deliver(time: datetime, rdd: RDD[Any]) -> None:
    _, delivery = _serving[-1]
    delivery.deliver(epoch_ms(time), rdd)


def _settle(time: datetime, _rdd: RDD[str]) -> None:
    _, delivery = _serving[-1]
    delivery.settle(epoch_ms(time))
