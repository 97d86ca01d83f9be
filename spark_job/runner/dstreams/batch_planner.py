"""Plans the batches of a direct stream on the driver: the events of each batch, and the RDD that reads them.

::

    Spark asks for batch t   planned before?  yes: the same ranges again
                                              no:  from the end of the newest batch to what the bridges hold now, up to
                                                   the limit; stored on disk before the RDD is made

A log whose bridge does not answer keeps its position, and the batch holds no events of it; the batches go on. A warning
is logged once when a bridge stops answering.

After a recovery Spark computes a window again from the events of its batches, so these must still be at the bridges. A
planner therefore commits offsets only once no result reaches back to them (:meth:`BatchPlanner.release`): the bridges
keep the events of a whole window.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from pyspark.sql.streaming.datasource import ReadMaxRows

from spark_job.errors import BridgeUnavailable
from spark_job.runner.dstreams.batch_plans import BatchPlan
from spark_job.runner.dstreams.part_reader import PartReader
from spark_job.sinks.database.ledger import NONE_YET
from spark_job.source.bridge_client import RetryPolicy
from spark_job.source.bridges import Bridges
from spark_job.source.offsets import split
from spark_job.source.planner import StreamPlanner
from spark_job.source.range_reader import RangePartition

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl
    from pyspark import SparkContext
    from pyspark.core.rdd import RDD

    from spark_job.runner.dstreams.batch_plans import BatchPlans
    from spark_job.runner.dstreams.decoder import Decoder
    from spark_job.source.bridges import PollResult
    from spark_job.source.options import Address, FlumeOptions

logger = logging.getLogger(__name__)

EVENTS_PER_PART = 50_000
"""The split into parts depends on the range alone, so that a batch that runs again writes the same audit files."""
# One short try: batches are due at fixed times, and a bridge that is away is read with a later one.
POLL = RetryPolicy(patience_s=0.0, call_timeout_s=2.0)


class BatchPlanner:
    """Plans the batches of one job. Close it in the end.

    Args:
        options: the bridges, the consumer's name, and where it starts.
        plans: the durable plans.
        decoder: turns events into rows, on the executors.
        audit: folder for the audit files of the tasks.
        limit: most events of a batch, and of all planned and unfinished batches together: if batches take longer than
            their interval, the bridges hold the backlog, not Spark.
        stored_ms: the newest batch that the results table holds, -1 for none.
    """

    def __init__(
        self,
        options: FlumeOptions,
        plans: BatchPlans,
        decoder: Decoder,
        audit: Path,
        limit: int,
        stored_ms: int = NONE_YET,
    ) -> None:
        self._options = options
        self._plans = plans
        self._decoder = decoder
        self._audit = audit
        self._limit = limit
        self._stored_ms = stored_ms
        self._bridges = _KnownBridges(options)
        self._planner = StreamPlanner(options, self._bridges)
        self._lock = threading.Lock()
        self._released: dict[str, int] = {}
        self._unfinished: dict[int, int] = {}
        """Batch time to events, of planned batches that are not finished."""
        self.failure: Exception | None = None

    def begin(self) -> None:
        """Ask every bridge where the first batch of a new job starts; do nothing for a job that continues.

        Raises:
            BridgeUnavailable: a bridge does not answer.
            OffsetsError: the consumer has read from the log already, so it belongs to another job.
        """
        if self._plans.begun:
            return
        planner = StreamPlanner(self._options)
        try:
            self._plans.begin(planner.initial_offset())
        finally:
            planner.close()

    def plan(self, time_ms: int) -> BatchPlan:
        """Return the batch of that time; its plan is on disk before this returns.

        Raises:
            DataLoss: unread events are gone, and the options do not allow it.
            OffsetsError: a log ends before a position that was read.
            AccountingError: the batch is older than the plans that are kept.
        """
        with self._lock:
            try:
                return self._plans.get(time_ms) or self._plan(time_ms)
            except Exception as error:
                # Spark keeps only its text; the job reports the error itself.
                self.failure = error
                raise

    def is_first(self, time_ms: int) -> bool:
        """Say whether a batch is the first of its streams; the answer survives a recovery."""
        self.plan(time_ms)
        return self._plans.is_first(time_ms)

    def rdd(self, time_ms: int, context: SparkContext) -> RDD[pl.DataFrame]:
        """Return the RDD of a batch: tables of rows."""
        batch = self.plan(time_ms)
        parts = [
            RangePartition(self._address_of(part.log_id), part)
            for log_range in batch.ranges
            for part in split([log_range], -(-log_range.events // EVENTS_PER_PART))
        ]
        if not parts:
            return context.emptyRDD()
        reader = PartReader(self._options, self._decoder, self._audit if time_ms > self._stored_ms else None)
        return context.parallelize(parts, len(parts)).mapPartitions(reader)

    def note_stored(self, time_ms: int) -> None:
        """Note that the results of the batches up to and including that time are stored: they need no audit again."""
        self._stored_ms = time_ms

    def finish(self, time_ms: int) -> None:
        """Note that the batches up to and including that time are finished, which makes room for as many events."""
        with self._lock:
            self._unfinished = {time: events for time, events in self._unfinished.items() if time > time_ms}

    def release(self, ends: dict[str, int]) -> None:
        """Commit ``ends`` at the bridges: no event below is needed again. A bridge that is away gets it next time."""
        with self._lock:
            if ends != self._released:
                self._planner.commit(ends)
                self._released = dict(ends)

    def close(self) -> None:
        """Close the connections."""
        self._planner.close()

    def _plan(self, time_ms: int) -> BatchPlan:
        starts = self._plans.positions()
        try:
            room = max(self._limit - sum(self._unfinished.values()), 0)
            ends = self._planner.latest_offset(starts, ReadMaxRows(room))
            starts |= {log_id: self._joining_offset(log_id) for log_id in ends.keys() - starts.keys()}
        except BridgeUnavailable as error:
            logger.warning("%s; batch %d holds no events", error, time_ms)
            ends = starts
        batch = BatchPlan(time_ms, {log_id: starts[log_id] for log_id in ends}, ends)
        self._plans.put(batch)
        self._unfinished[time_ms] = sum(log_range.events for log_range in batch.ranges)
        return batch

    def _joining_offset(self, log_id: str) -> int:
        """Return where a log that is new to the job begins; the bridge stores that as the consumer's start."""
        place = self._bridges.poll(patient=True).logs.get(log_id)
        if place is None:
            raise BridgeUnavailable(f"log {log_id} has just disappeared; its bridge stopped answering")
        return place.client.start(str(self._options.consumer), log_id, "earliest")

    def _address_of(self, log_id: str) -> Address:
        # A guess is enough: a task that does not find the log there asks all bridges.
        return self._bridges.addresses.get(log_id, self._options.bridges[0])


class _KnownBridges(Bridges):
    """Bridges whose addresses are known to be right, so one that does not answer counts as away at once.

    ``addresses`` maps each log to the bridge that had it last.
    """

    def __init__(self, options: FlumeOptions) -> None:
        super().__init__(options, POLL)
        self.addresses: dict[str, Address] = {}
        self._answered.update(options.bridges)

    def poll(self, *, patient: bool) -> PollResult:
        view = super().poll(patient=patient)
        self.addresses |= {log_id: place.client.address for log_id, place in view.logs.items()}
        return view
