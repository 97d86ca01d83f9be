"""Spark's streaming context: creates it or recovers it from a checkpoint.

The streams are set up inside a function that Spark calls only if there is no checkpoint. With one, Spark takes the
streams from it and does not call the function, so other intervals or other streams need a new job folder. A checkpoint
contains functions of importable modules by name only; :mod:`.renamed_functions` finds those that have moved since.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from py4j.protocol import Py4JJavaError

from spark_job.errors import JobFolderError
from spark_job.runner.dstreams.intervals import seconds
from spark_job.runner.dstreams.renamed_functions import old_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import timedelta
    from pathlib import Path

    from pyspark import SparkContext
    from pyspark.streaming import StreamingContext

DEPRECATION = (
    "DStreams are deprecated since Spark 3.4 but still work in 4.3; for new work use Structured Streaming, in which "
    "`headrace jobs` offers most of these computations too"
)
CONTEXT_SETTINGS = {
    # A batch is planned when it is due, so queued batches must run in order.
    "spark.streaming.concurrentJobs": "1",
    # Each partition costs a task in every stage of every batch, and a window's RDD has only a few thousand rows.
    "spark.default.parallelism": "2",
}


def open_streams(
    context: SparkContext, checkpoint: Path, interval: timedelta, build: Callable[[StreamingContext], None]
) -> StreamingContext:
    """Return a streaming context that is ready to start; ``build`` sets the streams up if there is no checkpoint.

    Raises:
        JobFolderError: Spark cannot read the checkpoint.
    """
    with _deprecation_is_known():
        from pyspark.streaming import StreamingContext

        def set_up() -> StreamingContext:
            ssc = StreamingContext(context, seconds(interval))
            build(ssc)
            return ssc

        try:
            with old_names():
                return StreamingContext.getOrCreate(str(checkpoint), set_up)
        except Py4JJavaError as error:
            raise JobFolderError(
                f"{checkpoint}: Spark cannot recover the streams from it; did another version write it? Move the "
                "folder away to continue with the next event, with empty windows and states"
            ) from error


def is_recoverable(checkpoint: Path) -> bool:
    """Say whether Spark has written a checkpoint of the streams."""
    return any(checkpoint.glob("checkpoint-*"))


def error_of(ssc: StreamingContext) -> Exception | None:
    """Return the error that ended the streams; None while they run."""
    try:
        ssc.awaitTerminationOrTimeout(0)
    except Py4JJavaError as error:
        ended: Exception = error
        return ended
    return None


def manual_clock(ssc: StreamingContext) -> Any:
    """Return the clock of the streams, for tests: ``advance(milliseconds)`` makes batches due.

    The context must have been made with ``spark.streaming.clock=org.apache.spark.util.ManualClock``.
    """
    java: Any = ssc._jssc  # noqa: SLF001 -- not in pyspark's API
    return java.ssc().scheduler().clock()


@contextmanager
def _deprecation_is_known() -> Iterator[None]:
    """Silence pyspark's warning for each context; the job prints :data:`DEPRECATION` once."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield
