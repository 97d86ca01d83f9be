"""A direct stream from Python: no receiver; at each batch time the driver picks ranges, and tasks read them.

pyspark has no input stream that asks Python what a batch holds. One is made of two parts: a stream of the JVM that
yields the same one-element RDD in every batch (``ConstantInputDStream``), and a transformation that throws that RDD
away and returns the batch's own.

Spark pickles the functions of a stream into its checkpoint. A feed holds connections and the settings of one process,
above all where the bridges are *now*; so the functions here are pickled by their names, and find the feed and the
delivery of the process that they run in (:func:`serving`).
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from pyspark.streaming.dstream import DStream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from typing import Any

    import polars as pl
    from pyspark.core.rdd import RDD
    from pyspark.streaming import StreamingContext

    from spark_job.dstreams.feed import Feed


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


def direct_stream(ssc: StreamingContext) -> DStream[pl.DataFrame]:
    """Return the stream of what the bridges hold, as tables of rows."""
    return _constant(ssc).transform(_tables)


def deliver_results(ssc: StreamingContext, results: DStream[Any]) -> None:
    """Deliver what a stream computes, and settle every batch after its result, if it has one."""
    results.foreachRDD(_deliver)
    # This one is there in every batch, also between two slides: so ranges are picked when it is their time.
    _constant(ssc).transform(_planned).foreachRDD(_settle)


def epoch_ms(time: datetime) -> int:
    """Return a batch time as Spark has it: pyspark hands it over as local time without a zone."""
    return round(time.timestamp() * 1000)


def _constant(ssc: StreamingContext) -> DStream[int]:
    context = ssc.sparkContext
    jvm: Any = context._jvm  # noqa: SLF001 -- there is no other way to the JVM's own streams
    seed: Any = context.parallelize([0], 1)
    tag = jvm.scala.reflect.ClassTag.apply(jvm.java.lang.Class.forName("[B"))
    java_ssc: Any = ssc._jssc  # noqa: SLF001
    constant = jvm.org.apache.spark.streaming.dstream.ConstantInputDStream(java_ssc.ssc(), seed._jrdd.rdd(), tag)  # noqa: SLF001
    stream = jvm.org.apache.spark.streaming.api.java.JavaDStream(constant, tag)
    return DStream(stream, ssc, seed._jrdd_deserializer)  # noqa: SLF001


def _tables(time: datetime, rdd: RDD[int]) -> RDD[pl.DataFrame]:
    feed, _ = _serving[-1]
    return feed.rdd(epoch_ms(time), rdd.context)


def _planned(time: datetime, rdd: RDD[int]) -> RDD[int]:
    feed, _ = _serving[-1]
    feed.plan(epoch_ms(time))
    return rdd


def _deliver(time: datetime, rdd: RDD[Any]) -> None:
    _, delivery = _serving[-1]
    delivery.deliver(epoch_ms(time), rdd)


def _settle(time: datetime, _rdd: RDD[int]) -> None:
    _, delivery = _serving[-1]
    delivery.settle(epoch_ms(time))
