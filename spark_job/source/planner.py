"""Plans a stream on the driver: where it starts, where each micro-batch ends, and which task reads what.

Spark calls these methods of a source, and each has a trap:

=============  ====================================================================================================
initialOffset  A new query calls it twice, and calls it again when micro-batch 0 is replayed after a crash; Spark never
               stores the answer. So the bridges store it, under the consumer's name, and return it unchanged.
latestOffset   The answer must stay below the target of AvailableNow and within the limit that Spark passes.
partitions     May be the first call after a restart, with a range that another process planned, and may come more than
               once. The answer depends on the arguments and the logs alone.
commit         Comes one micro-batch late, and never for the last one. Nothing depends on it: the start of a restarted
               query proves that everything before it is done, so that start is committed too.
stop           Spark never calls it. Nothing depends on it.
=============  ====================================================================================================

With ``commitOffsets=false`` the program keeps the offsets, together with its results, and commits them itself. Then
``startingOffsets`` says where the query starts, and nothing here commits.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pyspark.sql.streaming.datasource import ReadAllAvailable, ReadLimit, ReadMaxBytes, ReadMaxRows, ReadMinRows

from avro_bridge.errors import BridgeError, RangeAbove, RangeBelow
from spark_job.errors import OffsetsError, OptionError, SparkJobError
from spark_job.source.bridges import Bridges
from spark_job.source.offsets import ranges_between, read_offsets, share_fairly
from spark_job.source.partitions import assign, refuse_unknown_logs
from spark_job.source.range_reader import LossPolicy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spark_job.source.bridges import LocatedLog, PollResult
    from spark_job.source.options import FlumeOptions
    from spark_job.source.range_reader import RangePartition

logger = logging.getLogger(__name__)

Offsets = dict[str, int]


class StreamPlanner:
    """The driver's side of a stream. A new planner, made after a crash, needs nothing that an older one remembered.

    Args:
        options: the options of the source.
        bridges: the bridges to ask; by default those of the options.

    Raises:
        OptionError: option ``consumer`` is missing.
    """

    def __init__(self, options: FlumeOptions, bridges: Bridges | None = None) -> None:
        if options.consumer is None:
            raise OptionError("option consumer is missing: the bridges keep a stream's place under it")
        self._consumer: str = options.consumer
        self._options = options
        self._bridges = bridges or Bridges(options)
        self._loss = LossPolicy(options.fail_on_data_loss)
        self._seen: Offsets = {}
        self._target: Offsets | None = None
        self._warned: set[str] = set()
        self._start_is_committed = False

    def initial_offset(self) -> Offsets:
        """Return where the query starts; every bridge must answer.

        Raises:
            BridgeUnavailable: a bridge does not answer.
            OffsetsError: the consumer has read further already, so it belongs to another query.
            OptionError: ``startingOffsets`` names a log that no bridge has.
        """
        view = self._bridges.poll(patient=True)
        view.require_all()
        refuse_unknown_logs("startingOffsets", self._options.starting.by_log, view)
        return {log_id: self._starting_offset(log_id, view.logs[log_id]) for log_id in sorted(view.logs)}

    def stop_at_present(self) -> None:
        """Make the present end of each log the target that :meth:`latest_offset` never goes beyond."""
        view = self._bridges.poll(patient=True)
        view.require_all()
        self._target = {log_id: located.status.next_offset for log_id, located in view.logs.items()}

    def latest_offset(self, start_json: Mapping[str, object], limit: ReadLimit) -> Offsets:
        """Return the end of the next micro-batch; the start itself when nothing waits.

        If a bridge does not answer although it has answered before, its log keeps its offset until the bridge is back.
        Two cases are errors instead: with a target, because no later micro-batch would read that log; and if the bridge
        has never answered, because its address may be wrong.

        Raises:
            BridgeUnavailable: a bridge does not answer, in one of these two cases.
            DataLoss: unread events are gone, and the options do not allow it.
            OffsetsError: a log holds less than was read from it.
        """
        start = read_offsets(start_json, "start")
        view = self._bridges.poll(patient=self._target is not None)
        if self._target is not None or not self._bridges.all_answered():
            view.require_all()
        self._warn_of_silent(view)
        self._seen |= {log_id: located.status.next_offset for log_id, located in view.logs.items()}
        # Limits count from the first event that is still there: what retention has deleted takes no share of them.
        base = {
            log_id: self._readable_from(log_id, located, start.get(log_id)) for log_id, located in view.logs.items()
        }
        waiting = {log_id: max(self._ceiling(log_id) - offset, 0) for log_id, offset in base.items()}
        # The turn must change with each micro-batch and be the same after a restart; the sum of the offsets does both.
        admitted = self._admit(waiting, view, limit, turn=sum(start.values()))
        # A log that is left out of the end is given up: Spark then never asks for it again.
        end = {
            log_id: offset
            for log_id, offset in start.items()
            if log_id in view.logs or self._keeps_offset(log_id, offset, view)
        }
        return dict(sorted((end | {log_id: base[log_id] + count for log_id, count in admitted.items()}).items()))

    def report_latest_offset(self) -> Offsets | None:
        """Return the end of each log when it was last seen. Asks no bridge: Spark calls this after every trigger."""
        return dict(sorted(self._seen.items())) or None

    def partitions(self, start_json: Mapping[str, object], end_json: Mapping[str, object]) -> list[RangePartition]:
        """Return what each task of a planned micro-batch reads: the same for the same arguments, in any process.

        Raises:
            OffsetsError: a start is behind its end, or a log holds less than was planned.
            DataLoss: planned events are gone, and the options do not allow it.
            BridgeUnavailable: a log of the range is not found and a bridge does not answer.
        """
        start, end = read_offsets(start_json, "start"), read_offsets(end_json, "end")
        view = self._bridges.poll(patient=False)
        # A log of the range may be at a bridge that did not answer; only if all bridges answer is it known to be gone.
        if view.silent and end.keys() - view.logs.keys():
            view = self._bridges.poll(patient=True)
            view.require_all()
        # Spark restarted here, so everything before is stored: commit it, since Spark's own commit never came.
        if self._options.commit_offsets and not self._start_is_committed:
            self._start_is_committed = True
            self._commit(start, view)
        for log_id in end.keys() - start.keys():
            located = view.logs.get(log_id)
            # A log that joined with this micro-batch and is gone already: its range is reported as lost.
            start[log_id] = self._joining_offset(log_id, located) if located else 0
        return assign(ranges_between(start, end), view, self._options)

    def commit(self, end_json: Mapping[str, object]) -> None:
        """Tell the bridges that all events below are done. A bridge that misses this gets it with the next commit."""
        if self._options.commit_offsets:
            self._commit(read_offsets(end_json, "end"), self._bridges.poll(patient=False))

    def close(self) -> None:
        """Close the connections to the bridges."""
        self._bridges.close()

    def _starting_offset(self, log_id: str, located: LocatedLog) -> int:
        starting = self._options.starting
        position = dict(starting.by_log).get(log_id, starting.word)
        known = located.status.consumers.get(self._consumer)
        if position == "committed":
            return self._joining_offset(log_id, located)
        if known is not None and isinstance(position, int) and not self._options.commit_offsets:
            return position
        try:
            first = located.client.start(self._consumer, log_id, position)
        except (RangeBelow, RangeAbove) as error:
            raise OffsetsError(f"option startingOffsets: log {log_id}: {error}") from None
        if known is not None and known["committed"] > first:
            raise OffsetsError(
                f"consumer {self._consumer!r} has read log {log_id} up to {known['committed']} already, but this query "
                "has no checkpoint: continue there with option startingOffsets=committed, or use another consumer name"
            )
        return first

    def _joining_offset(self, log_id: str, located: LocatedLog) -> int:
        """Return where the query starts to read a log that joins it: at the log's first event, or at its own commit.

        The answer is stable while the first micro-batch that reads the log may be replayed: only a later one commits.
        """
        known = located.status.consumers.get(self._consumer)
        return known["committed"] if known else located.client.start(self._consumer, log_id, "earliest")

    def _readable_from(self, log_id: str, located: LocatedLog, start: int | None) -> int:
        """Return the first offset at ``start`` or after it that the log still has."""
        offset = self._joining_offset(log_id, located) if start is None else start
        status = located.status
        if offset > status.next_offset:
            raise OffsetsError(
                f"log {log_id}: read up to {offset}, but bridge {located.client.address} has stored only up to "
                f"{status.next_offset}; was it restored from an older copy? Its new events would be skipped"
            )
        if offset < status.first_offset:
            self._loss.report(
                f"log {log_id}: events {offset} to {status.first_offset - 1} are lost: the bridge has deleted them"
            )
        return max(offset, status.first_offset)

    def _ceiling(self, log_id: str) -> int:
        """Return the offset up to which a micro-batch may read a log; 0 if it joined after the target was set."""
        return self._seen[log_id] if self._target is None else min(self._target.get(log_id, 0), self._seen[log_id])

    def _admit(self, waiting: Offsets, view: PollResult, limit: ReadLimit, turn: int) -> Offsets:
        """Return how many events of each log the next micro-batch reads."""
        if isinstance(limit, ReadAllAvailable):
            return {log_id: count for log_id, count in waiting.items() if count}
        if isinstance(limit, ReadMinRows):
            enough = self._target is not None or sum(waiting.values()) >= limit.min_rows
            return {log_id: count for log_id, count in waiting.items() if count and enough}
        if not isinstance(limit, ReadMaxRows | ReadMaxBytes):
            raise OffsetsError(f"read limit {limit!r} does not apply to events; Spark should ask for rows or bytes")
        max_bytes = limit.max_bytes if isinstance(limit, ReadMaxBytes) else self._options.max_bytes_per_trigger
        if max_bytes is not None:
            # The limit in bytes holds as well where Spark passes the one in rows.
            waiting = _within_bytes(waiting, view, max_bytes, turn)
        return share_fairly(waiting, limit.max_rows, turn) if isinstance(limit, ReadMaxRows) else waiting

    def _keeps_offset(self, log_id: str, offset: int, view: PollResult) -> bool:
        """Whether a log that no bridge has keeps its offset.

        It does while a bridge does not answer, and when it was read to the last end that was seen: if it comes back,
        reading continues there. Otherwise unread events are lost, and a query that may lose them forgets the log.
        """
        if view.silent:
            return True
        if self._seen.get(log_id) == offset:
            self._warn_once(
                f"gone {log_id}", f"no bridge has log {log_id} any more; it was read up to its last known end, {offset}"
            )
            return True
        self._loss.report(f"log {log_id}: no bridge has this log any more; its events from {offset} on are lost")
        return False

    def _commit(self, offsets: Offsets, view: PollResult) -> None:
        for log_id, offset in offsets.items():
            located = view.logs.get(log_id)
            if located is None:
                continue
            try:
                located.client.commit(self._consumer, log_id, offset)
            except (BridgeError, SparkJobError) as error:
                # No reason to stop: the next commit includes this one, and until then the bridge keeps more events.
                logger.warning("the bridge did not accept the commit of offset %d of log %s: %s", offset, log_id, error)

    def _warn_of_silent(self, view: PollResult) -> None:
        for located in view.logs.values():
            self._warned.discard(f"silent {located.client.address}")
        for address, error in view.silent.items():
            self._warn_once(f"silent {address}", f"{error}; its events are read when it is back")

    def _warn_once(self, key: str, text: str) -> None:
        if key not in self._warned:
            self._warned.add(key)
            logger.warning("%s", text)


def _within_bytes(waiting: Offsets, view: PollResult, max_bytes: int, turn: int) -> Offsets:
    """Return how many events of each log fit into ``max_bytes``, by the mean size of the log's events.

    Each log in turn gets one event while it fits. The first log always gets one, or a limit below the size of an event
    would stop the query for ever. The remaining bytes are shared in proportion to the bytes that wait.
    """
    logs = sorted(log_id for log_id, count in waiting.items() if count)
    first = turn % max(len(logs), 1)
    admitted: Offsets = {}
    left = max_bytes
    mean = {log_id: _mean_event_bytes(view.logs[log_id]) for log_id in logs}
    for log_id in logs[first:] + logs[:first]:
        if mean[log_id] <= left or not admitted:
            admitted[log_id] = 1
            left = max(left - mean[log_id], 0)
    more = {log_id: waiting[log_id] - 1 for log_id in admitted}
    total_bytes = sum(count * mean[log_id] for log_id, count in more.items())
    if total_bytes > left:
        more = {log_id: left * count // total_bytes for log_id, count in more.items()}
    return {log_id: 1 + more[log_id] for log_id in admitted}


def _mean_event_bytes(located: LocatedLog) -> int:
    status = located.status
    # Used bytes are those of whole pages, headers included: the mean errs on the high side.
    return max(status.used_bytes // max(status.next_offset - status.first_offset, 1), 1)
