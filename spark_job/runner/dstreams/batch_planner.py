"""The driver's side of a direct stream: which events a batch holds, and the RDD that reads them.

::

    batch time t is asked for   planned before?  yes: the same ranges again
                                                 no:  from where the newest batch ends, up to what the bridges hold
                                                      now and within the limit; on disk before the RDD is made

A bridge that does not answer keeps its place, and the batch holds nothing of it; the batches go on. It is said once
when a bridge goes silent.

What a result needs of past batches must still be there when it is computed again after a recovery: a window is rebuilt
from the events of its batches. So the bridges are told that events are done with only once nothing reaches back to
them (:meth:`Feed.release`), and keep the events of a window for that long.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from pyspark.sql.streaming.datasource import ReadMaxRows

from spark_job.errors import BridgeUnavailable
from spark_job.runner.dstreams.part_reader import PartReader
from spark_job.runner.dstreams.planned_batches import Batch
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

    from spark_job.runner.dstreams.decoder import Decoder
    from spark_job.runner.dstreams.planned_batches import Batches
    from spark_job.source.bridges import PollResult
    from spark_job.source.options import Address, FlumeOptions

logger = logging.getLogger(__name__)

EVENTS_PER_PART = 50_000
"""Parts depend on the range alone, so that a batch that is read again leaves the same audit files."""
POLL = RetryPolicy(patience_s=0.0, call_timeout_s=2.0)


class Feed:
    """What a direct stream asks for each batch. Close it in the end.

    Args:
        options: the bridges, the consumer's name, and where it starts.
        batches: the durable plans.
        decoder: what makes rows of events, on the executors.
        audit: folder for what the tasks read.
        limit: most events of a batch, and of all batches that are planned and not done: when they take longer than
            their interval, the bridges keep what Spark cannot.
    """

    def __init__(self, options: FlumeOptions, batches: Batches, decoder: Decoder, audit: Path, limit: int) -> None:
        self._options = options
        self._batches = batches
        self._decoder = decoder
        self._audit = audit
        self._limit = limit
        self._bridges = _KnownBridges(options)
        self._planner = StreamPlanner(options, self._bridges)
        self._lock = threading.Lock()
        self._released: dict[str, int] = {}
        self._under_way: dict[int, int] = {}
        self.failure: Exception | None = None

    def begin(self) -> None:
        """Find out where the first batch of a new job starts; every bridge must answer then.

        Raises:
            BridgeUnavailable: one does not.
            OffsetsError: the consumer has read on already, so it belongs to another job.
        """
        if self._batches.begun:
            return
        planner = StreamPlanner(self._options)
        try:
            self._batches.begin(planner.initial_offset())
        finally:
            planner.close()

    def plan(self, time_ms: int) -> Batch:
        """Return the batch of that time; on disk before this returns.

        Raises:
            DataLoss: unread events are gone, and the options do not allow it.
            OffsetsError: a log holds less than was read from it.
            AccountingError: the batch is older than what is kept.
        """
        with self._lock:
            try:
                return self._batches.get(time_ms) or self._plan(time_ms)
            except Exception as error:
                # Spark turns it into a text; the job wants to say what it was.
                self.failure = error
                raise

    def is_first(self, time_ms: int) -> bool:
        """Say whether a batch is the first of its streams; the same after every recovery."""
        self.plan(time_ms)
        return self._batches.is_first(time_ms)

    def rdd(self, time_ms: int, context: SparkContext) -> RDD[pl.DataFrame]:
        """Return the tables of rows of a batch."""
        batch = self.plan(time_ms)
        parts = [
            RangePartition(self._address_of(part.log_id), part)
            for log_range in batch.ranges
            for part in split([log_range], -(-log_range.events // EVENTS_PER_PART))
        ]
        if not parts:
            return context.emptyRDD()
        reader = PartReader(self._options, self._decoder, None if batch.booked else self._audit)
        return context.parallelize(parts, len(parts)).mapPartitions(reader)

    def done(self, time_ms: int) -> None:
        """Note that the batches up to and with that time are done: as many events may be planned again."""
        with self._lock:
            self._under_way = {time: events for time, events in self._under_way.items() if time > time_ms}

    def release(self, ends: dict[str, int]) -> None:
        """Tell the bridges that nothing below ``ends`` is needed any more; one that is away hears it next time."""
        with self._lock:
            if ends != self._released:
                self._planner.commit(ends)
                self._released = dict(ends)

    def close(self) -> None:
        """Close the connections."""
        self._planner.close()

    def _plan(self, time_ms: int) -> Batch:
        starts = self._batches.positions()
        try:
            room = max(self._limit - sum(self._under_way.values()), 0)
            ends = self._planner.latest_offset(starts, ReadMaxRows(room))
            starts |= {log_id: self._joining_offset(log_id) for log_id in ends.keys() - starts.keys()}
        except BridgeUnavailable as error:
            logger.warning("%s; batch %d holds no events", error, time_ms)
            ends = starts
        batch = Batch(time_ms, {log_id: starts[log_id] for log_id in ends}, ends)
        self._batches.put(batch)
        self._under_way[time_ms] = sum(log_range.events for log_range in batch.ranges)
        return batch

    def _joining_offset(self, log_id: str) -> int:
        """Return where a log begins that was not there before; the bridge stores it."""
        place = self._bridges.poll(patient=True).logs.get(log_id)
        if place is None:
            raise BridgeUnavailable(f"log {log_id} was just there and is gone")
        return place.client.start(str(self._options.consumer), log_id, "earliest")

    def _address_of(self, log_id: str) -> Address:
        # A task that does not find the log there looks for it.
        return self._bridges.addresses.get(log_id, self._options.bridges[0])


class _KnownBridges(Bridges):
    """Bridges whose addresses have proved right before: one that does not answer is away, at once and from the start.

    ``addresses`` has where each log was met last.
    """

    def __init__(self, options: FlumeOptions) -> None:
        super().__init__(options, POLL)
        self.addresses: dict[str, Address] = {}
        self._met.update(options.bridges)

    def poll(self, *, patient: bool) -> PollResult:
        view = super().poll(patient=patient)
        self.addresses |= {log_id: place.client.address for log_id, place in view.logs.items()}
        return view
