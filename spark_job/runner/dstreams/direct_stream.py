"""A direct stream from Python, without a receiver: at each batch time the driver picks ranges, and tasks read them.

pyspark has no input stream that asks Python which events a batch holds. This one has two parts: a stream of Spark's own
with an empty RDD in every batch, and a transformation that drops that RDD and returns the real one. The first part is a
stream of the files in a folder that stays empty. The alternatives do not work: a ``ConstantInputDStream`` of the JVM
saves its RDD in the checkpoint, where the RDD loses its SparkContext (SPARK-13758), and a recovered stream fails with
the first batch that Spark forgets; a queue of RDDs cannot be saved in a checkpoint at all.

Spark pickles the functions of a stream into its checkpoint. A planner holds connections and settings of one process,
above all the *current* addresses of the bridges, so it must not be pickled. The functions here are pickled by name
instead, and look up the planner and the delivery of the process that they run in (:func:`serving`). A function that is
renamed or moved needs an entry in :mod:`spark_job.runner.dstreams.renamed_functions`.
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

    from spark_job.runner.dstreams.batch_planner import BatchPlanner


class Delivery(Protocol):
    """Takes the results on the driver, one batch after the other."""

    def deliver(self, time_ms: int, rdd: RDD[Any]) -> None:
        """Compute the result of a batch and store it under its time. If Spark runs it again, the result is the same."""

    def finish(self, time_ms: int) -> None:
        """Finish a batch after its result is stored. Called for every batch, also for those without a result."""


_serving: list[tuple[BatchPlanner, Delivery]] = []


@contextmanager
def serving(planner: BatchPlanner, delivery: Delivery) -> Iterator[None]:
    """Make the streams of this process use ``planner`` and ``delivery``. Spark runs one set of streams in a process."""
    _serving.append((planner, delivery))
    try:
        yield
    finally:
        _serving.pop()


def every_batch(ssc: StreamingContext, empty: Path) -> DStream[str]:
    """Return a stream without elements. Nobody writes to the folder ``empty``; the checkpoint contains its path."""
    empty.mkdir(parents=True, exist_ok=True)
    return ssc.textFileStream(str(empty))


def direct_stream(source: DStream[str]) -> DStream[pl.DataFrame]:
    """Return the stream of the bridges' events as tables of rows; ``source`` comes from :func:`every_batch`."""
    return source.transform(_tables)


def beginning_with(stream: DStream[Any], initial: list[Any]) -> DStream[Any]:
    """Return the stream with the elements of ``initial`` in its first batch as well.

    Spark has a parameter for an initial state (``initialRDD``), but a recovered context cannot use that RDD: a job that
    was killed before its state was first written to disk could not continue.
    """
    return stream.transform(lambda time, rdd: _with_initial(time, rdd, initial)) if initial else stream


def deliver_results(source: DStream[str], results: DStream[Any]) -> None:
    """Deliver the results of a stream, and finish every batch of ``source`` after its result, if it has one."""
    results.foreachRDD(_deliver)
    # ``results`` has no RDD between two slides, ``source`` has one in every batch. So each batch is planned when it is
    # due, and not with the next result.
    source.transform(_planned).foreachRDD(_finish)


def epoch_ms(time: datetime) -> int:
    """Return a batch time in milliseconds, as Spark counts it; pyspark passes local time without a zone."""
    return round(time.timestamp() * 1000)


def _tables(time: datetime, rdd: RDD[str]) -> RDD[pl.DataFrame]:
    planner, _ = _serving[-1]
    return planner.rdd(epoch_ms(time), rdd.context)


def _with_initial(time: datetime, rdd: RDD[Any], initial: list[Any]) -> RDD[Any]:
    planner, _ = _serving[-1]
    return rdd.union(rdd.context.parallelize(initial, 1)) if planner.is_first(epoch_ms(time)) else rdd


def _planned(time: datetime, rdd: RDD[str]) -> RDD[str]:
    planner, _ = _serving[-1]
    planner.plan(epoch_ms(time))
    return rdd


def _deliver(time: datetime, rdd: RDD[Any]) -> None:
    _, delivery = _serving[-1]
    delivery.deliver(epoch_ms(time), rdd)


def _finish(time: datetime, _rdd: RDD[str]) -> None:
    _, delivery = _serving[-1]
    delivery.finish(epoch_ms(time))
