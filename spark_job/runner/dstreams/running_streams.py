"""The streams of a job as the watch sees them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from spark_job.errors import QueryFailed, SparkJobError
from spark_job.runner.dstreams.context import error_of
from spark_job.runner.spark_errors import JAVA_IS_GONE, cause_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.streaming import StreamingContext

LONGEST_GRACEFUL_STOP = timedelta(seconds=10)
"""Spark's graceful stop waits for the next batch. With longer intervals, unfinished batches run again instead."""


class Failing(Protocol):
    """Something that runs on Spark's threads.

    Attributes:
        failure: the exception that it raised there; Spark keeps only its text.
    """

    failure: Exception | None


class RunningStreams:
    """Streams that run.

    Args:
        ssc: their context, ready to start.
        parts: have the errors of batches that could not be planned or delivered.
        interval: between two batches.
    """

    def __init__(self, ssc: StreamingContext, parts: Sequence[Failing], interval: timedelta) -> None:
        self._ssc = ssc
        self._parts = parts
        self._stop_gracefully = interval <= LONGEST_GRACEFUL_STOP

    def start(self) -> None:
        """Start the streams."""
        self._ssc.start()

    def check(self) -> None:
        """Do nothing while the streams run.

        Raises:
            QueryFailed: they ended; an error of this package comes through as it is.
        """
        failure = self._failure()
        error = error_of(self._ssc)
        if failure is not None or error is not None:
            raise cause_of(error or QueryFailed("the streams have ended"), failure) from error

    def _failure(self) -> Exception | None:
        return next((part.failure for part in self._parts if part.failure is not None), None)

    def progress(self) -> None:
        """Return None: Spark makes no report."""

    def stop(self) -> str:
        """Stop the streams between two batches, or at once if these are far apart.

        Raises:
            SparkJobError: a batch raised it meanwhile.
        """
        self._ssc.stop(stopSparkContext=False, stopGraceFully=self._stop_gracefully)
        failure = self._failure()
        if isinstance(failure, SparkJobError):
            raise failure
        return ""

    def abandon(self) -> None:
        """Stop the streams at once, if they still run; their checkpoint has the unfinished batches."""
        try:
            self._ssc.stop(stopSparkContext=False, stopGraceFully=False)
        except JAVA_IS_GONE:
            # Java has died already, and the streams with it.
            return
