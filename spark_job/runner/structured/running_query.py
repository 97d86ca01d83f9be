"""A streaming query as the watch sees it.

``StreamingQuery.stop`` cancels the running micro-batch. That loses nothing, since it runs again on the next start, but
its work is wasted; so the stop first waits, for a limited time, until Spark's commit log has that micro-batch.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from pyspark.errors import PySparkException

from spark_job.errors import QueryFailed, SparkJobError
from spark_job.runner.spark_errors import cause_of, first_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql.streaming.listener import StreamingQueryProgress
    from pyspark.sql.streaming.query import StreamingQuery

    from spark_job.accounting.spark_checkpoint import Checkpoint

STOP_WITHIN_S = 30.0
STOP_POLL_S = 0.02


class Failing(Protocol):
    """A batch function.

    Attributes:
        failure: the exception that it raised.
    """

    failure: Exception | None


class RunningQuery:
    """One query.

    Args:
        query: the query.
        writer: its batch function.
        checkpoint: of the query.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        query: StreamingQuery,
        writer: Failing,
        checkpoint: Checkpoint,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._query = query
        self._writer = writer
        self._checkpoint = checkpoint
        self._clock = clock

    def start(self) -> None:
        """Do nothing: Spark returns a query that runs."""

    def check(self) -> None:
        """Do nothing while the query runs.

        Raises:
            QueryFailed: it ended; an error of this package comes through as it is.
        """
        if self._query.isActive:
            return
        error = self._query.exception()
        if error is None:
            raise QueryFailed("the query ended without an error; was it stopped from elsewhere?")
        raise cause_of(error, self._writer.failure) from error

    def progress(self) -> StreamingQueryProgress | None:
        """Return Spark's report of the newest micro-batch."""
        return self._query.lastProgress

    def stop(self) -> str:
        """Stop the query between two micro-batches, or inside one that takes longer than :data:`STOP_WITHIN_S`.

        Raises:
            SparkJobError: the batch function raised it meanwhile.
        """
        deadline_s = self._clock() + STOP_WITHIN_S
        newest = self._checkpoint.newest_committed()
        while self._batch_runs() and self._clock() < deadline_s:
            # The micro-batch that ran is committed. Stop now, before the next one begins work that would be wasted.
            if self._checkpoint.newest_committed() != newest:
                break
            time.sleep(STOP_POLL_S)
        try:
            self._query.stop()
        except PySparkException as error:
            # Spark cannot interrupt every wait inside it. The process ends anyway.
            return f"the query did not stop in time: {first_line(str(error))}"
        # Anything else that it raised comes from the stop, which interrupts it.
        if isinstance(self._writer.failure, SparkJobError):
            raise self._writer.failure
        return ""

    def _batch_runs(self) -> bool:
        status = self._query.status
        return bool(self._query.isActive and status["isTriggerActive"] and status["isDataAvailable"])
