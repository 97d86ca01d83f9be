"""Spark's streaming context: made or recovered from its checkpoint, watched, and stopped.

Everything between the context and the running streams happens inside a function that Spark calls only when there is
no checkpoint. With one, the streams come out of it, and the function is not called: so a change of intervals or of the
shape of the streams needs a new job folder. Functions of importable modules are in the checkpoint by name only.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from py4j.protocol import Py4JJavaError

from spark_job.errors import JobFolderError
from spark_job.runner.dstreams.intervals import seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import timedelta
    from pathlib import Path

    from pyspark import SparkContext
    from pyspark.streaming import StreamingContext

DEPRECATION = (
    "DStreams are deprecated since Spark 3.4 and still there in 4.3; for new work take Structured Streaming, "
    "which `headrace jobs` has most of these computations in as well"
)
CONTEXT_SETTINGS = {
    # What a batch holds is decided when it is due, so a queue of batches must not be worked off out of order.
    "spark.streaming.concurrentJobs": "1",
    # Each partition costs a task in every stage of every batch, and an RDD of a window has a few thousand rows.
    "spark.default.parallelism": "2",
}


def open_streams(
    context: SparkContext, checkpoint: Path, interval: timedelta, build: Callable[[StreamingContext], None]
) -> StreamingContext:
    """Return a streaming context that is ready to start; ``build`` sets the streams up where there is no checkpoint.

    Raises:
        JobFolderError: there is a checkpoint, and Spark cannot read it.
    """
    with _deprecation_is_known():
        from pyspark.streaming import StreamingContext

        def set_up() -> StreamingContext:
            ssc = StreamingContext(context, seconds(interval))
            build(ssc)
            return ssc

        try:
            return StreamingContext.getOrCreate(str(checkpoint), set_up)
        except Py4JJavaError as error:
            raise JobFolderError(
                f"{checkpoint}: Spark cannot recover the streams from it; was it written by another version? Move the "
                "folder away to go on with the next event, with empty windows and states"
            ) from error


def is_recoverable(checkpoint: Path) -> bool:
    """Say whether Spark has written a checkpoint of the streams."""
    return any(checkpoint.glob("checkpoint-*"))


def error_of(ssc: StreamingContext) -> Exception | None:
    """Return what ended the streams; None while they run."""
    try:
        ssc.awaitTerminationOrTimeout(0)
    except Py4JJavaError as error:
        ended: Exception = error
        return ended
    return None


def manual_clock(ssc: StreamingContext) -> Any:
    """Return the clock of the streams, whose ``advance(milliseconds)`` lets batches become due; for tests.

    Only there when ``spark.streaming.clock`` was ``org.apache.spark.util.ManualClock`` as the context was made.
    """
    java: Any = ssc._jssc  # noqa: SLF001 -- pyspark has no word for it
    return java.ssc().scheduler().clock()


@contextmanager
def _deprecation_is_known() -> Iterator[None]:
    """Keep pyspark from saying for every context what :data:`DEPRECATION` says once."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield
