r"""Looks after a running query: stops it cleanly, notices when it dies or stalls, and tells how it is doing.

::

                    stop asked for                batch in flight is committed
    running ------------------------> stopping ----------------------------------> stopped
       |  \--- all up to the drain file counted ---/
       |--- the query ended with an error ------------------------------------> QueryFailed, or what the error was
       `--- events wait, and no batch has ended for stall_after --------------> QueryStalled

``StreamingQuery.stop`` cancels the batch that is running. That does no harm, since it runs again on the next start, but
it is no clean stop either; so the stop waits for Spark's commit log to have that batch, for a limited time.
"""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException

import spark_job.errors
from spark_job.errors import OptionError, QueryFailed, QueryStalled, SparkJobError
from spark_job.runner.progress import write_progress

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from threading import Event

    from pyspark.sql.streaming.listener import StreamingQueryProgress
    from pyspark.sql.streaming.query import StreamingQuery

    from spark_job.accounting.tally import Tally
    from spark_job.runner.batch_writer import Progress
    from spark_job.runner.job_folder import JobFolder
    from spark_job.source.bridges import Bridges

LOOK_EVERY_S = 0.25
REPORT_EVERY_S = 1.0
STOP_WITHIN_S = 30.0
STOP_POLL_S = 0.02
MAX_CAUSE_CHARACTERS = 500
JAVA_IS_GONE = (Py4JError, ConnectionError, EOFError)
"""What a call into Java raises when there is no Java process any more."""
_PYTHON_CAUSE = re.compile(r"^(?:[\w.]+\.)?(\w+): (\S.*)$", re.MULTILINE)


class Writer(Protocol):
    """What the batch function of a query knows of the batches that it has stored; read from another thread."""

    @property
    def last(self) -> Progress | None:
        """The newest batch of this process."""

    @property
    def positions(self) -> dict[str, int]:
        """Log id to the offset up to which all is stored."""

    @property
    def tally(self) -> Tally:
        """The sum over all batches that were ever stored."""

    @property
    def failure(self) -> Exception | None:
        """What it raised."""


class QueryKeeper:
    """Keeps one query until it is to end.

    Args:
        query: the running query.
        writer: its batch function, which knows what has been stored.
        folder: the job's folder.
        bridges: asked, once a second, how much waits.
        stall_after_s: how long events may wait without a batch.
        drain_to_file: see :func:`read_drain_file`.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        query: StreamingQuery,
        writer: Writer,
        folder: JobFolder,
        bridges: Bridges,
        stall_after_s: float,
        drain_to_file: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._query = query
        self._writer = writer
        self._folder = folder
        self._bridges = bridges
        self._stall_after_s = stall_after_s
        self._drain_to_file = drain_to_file
        self._clock = clock
        self._waiting: int | None = None
        self._next_report_s = clock()
        self._moved_s = clock()
        self._seen_batch = -1

    def keep(self, stop: Event) -> None:
        """Return when the query has been stopped, because that was asked for or everything is drained.

        Raises:
            QueryFailed: the query ended by itself; or the error of this package that ended it.
            QueryStalled: events wait and nothing is done about it.
        """
        try:
            while not stop.wait(LOOK_EVERY_S) and not self._is_drained():
                self._check_alive()
                if self._clock() >= self._next_report_s:
                    self._next_report_s = self._clock() + REPORT_EVERY_S
                    self._look()
            self.report("stopping")
            self._stop()
        except (*JAVA_IS_GONE, SparkJobError) as error:
            if stop.is_set():
                # A signal to the whole process group ends Java and its workers as well. What was stored is stored.
                return
            if isinstance(error, SparkJobError):
                raise
            raise QueryFailed(
                f"the Java side of Spark has died; {self._folder.root} has java.log and spark.log"
            ) from error

    def _check_alive(self) -> None:
        if self._query.isActive:
            return
        error = self._query.exception()
        if error is None:
            raise QueryFailed("the query ended without an error; was it stopped from elsewhere?")
        raise cause_of(error, self._writer.failure) from error

    def report(self, state: str, error: str = "") -> None:
        """Write ``progress.json``."""
        write_progress(
            self._folder.progress,
            state,
            datetime.now(UTC),
            self._writer.last,
            positions=self._writer.positions,
            tally=self._writer.tally,
            waiting=self._waiting,
            spark=self._spark_progress(),
            error=error,
        )

    def _spark_progress(self) -> StreamingQueryProgress | None:
        try:
            return self._query.lastProgress
        except JAVA_IS_GONE:
            return None

    def _look(self) -> None:
        last = self._writer.last
        if last is not None and last.entry.batch_id != self._seen_batch:
            self._seen_batch, self._moved_s = last.entry.batch_id, self._clock()
        self._waiting = self._count_waiting()
        if not self._waiting:
            # An unanswered question is the bridge's trouble, not a stall of this query.
            self._moved_s = self._clock()
        self.report("running" if self._drain_target() is None else "draining")
        still_s = self._clock() - self._moved_s
        if still_s > self._stall_after_s:
            raise QueryStalled(f"{self._waiting:,} events wait, and no batch has ended for {still_s:.0f} seconds")

    def _count_waiting(self) -> int | None:
        """Return how many events the bridges hold that are not counted yet; None when one does not answer."""
        try:
            view = self._bridges.poll(patient=False)
        except SparkJobError:
            return None
        if view.silent:
            return None
        positions = self._writer.positions
        return sum(
            max(0, place.status.next_offset - max(positions.get(log_id, 0), place.status.first_offset))
            for log_id, place in view.logs.items()
        )

    def _drain_target(self) -> dict[str, int] | None:
        if self._drain_to_file is None or not self._drain_to_file.exists():
            return None
        return read_drain_file(self._drain_to_file)

    def _is_drained(self) -> bool:
        target = self._drain_target()
        if target is None:
            return False
        positions = self._writer.positions
        return all(positions.get(log_id, 0) >= end for log_id, end in target.items())

    def _stop(self) -> None:
        """Stop the query between two batches, or after a while in the middle of one."""
        deadline_s = self._clock() + STOP_WITHIN_S
        newest = self._folder.checkpoint.newest_committed()
        while self._batch_runs() and self._clock() < deadline_s:
            if self._folder.checkpoint.newest_committed() != newest:
                break
            time.sleep(STOP_POLL_S)
        try:
            self._query.stop()
        except PySparkException as error:
            # Not every wait inside Spark can be interrupted; the process ends all the same.
            self.report("stopping", error=f"the query did not stop in time: {first_line(str(error))}")

    def _batch_runs(self) -> bool:
        status = self._query.status
        return bool(self._query.isActive and status["isTriggerActive"] and status["isDataAvailable"])


def read_drain_file(path: Path) -> dict[str, int]:
    """Read the file that ends a bounded run: ``{"<log id>": end offset, ...}``, to be put there by a rename.

    Raises:
        OptionError: it is not such a file.
    """
    try:
        return {str(log_id): int(end) for log_id, end in json.loads(path.read_bytes()).items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise OptionError(f"--drain-to-file={str(path)!r}: not a map of log ids to offsets: {error}") from None


def cause_of(error: Exception, failure: Exception | None = None) -> SparkJobError:
    """Return what ended a query, in one sentence, as an error of this package.

    Args:
        error: what Spark raised: a text with the traces of several languages in it.
        failure: what the batch function raised, where it was its fault.
    """
    if isinstance(failure, SparkJobError):
        return failure
    if failure is not None and not isinstance(failure, PySparkException):
        return QueryFailed(f"{type(failure).__name__}: {first_line(str(failure))}")
    found = _PYTHON_CAUSE.findall(str(failure or error))
    for name, text in reversed(found):
        kind = getattr(spark_job.errors, name, None)
        if isinstance(kind, type) and issubclass(kind, SparkJobError):
            return kind(first_line(text))
    if found:
        return QueryFailed(first_line(": ".join(found[-1])))
    return QueryFailed(first_line(str(error)))


def first_line(text: str) -> str:
    """Return the first line of a text that may be very long."""
    line = text.strip().partition("\n")[0]
    return line if len(line) <= MAX_CAUSE_CHARACTERS else f"{line[:MAX_CAUSE_CHARACTERS]}..."
