"""What the driver decides for a stream: where it starts, how far a batch goes, and who reads what.

Spark's questions, and the trap in each:

=============  ====================================================================================================
initialOffset  is asked twice by a new query, and again when batch 0 is replayed after a crash; Spark never stores the
               answer. So the bridges store it, under the consumer's name, and give it back unchanged.
latestOffset   must stay below the target of AvailableNow and within the limit that Spark hands in.
partitions     may be the first question after a restart, with a range that another process planned, and may come more
               than once. The answer depends on the arguments and the logs alone.
commit         lags a batch behind and never comes for the last one. Nothing waits for it: where a restarted query
               starts is proof that all before is done, and is committed then.
stop           does not come. Nothing waits for it.
=============  ====================================================================================================
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

    from spark_job.source.bridges import Place, View
    from spark_job.source.options import FlumeOptions
    from spark_job.source.range_reader import RangePartition

logger = logging.getLogger(__name__)

Offsets = dict[str, int]


class StreamPlanner:
    """The driver's side of a stream. It remembers nothing that a new one, made after a crash, would miss."""

    def __init__(self, options: FlumeOptions, bridges: Bridges | None = None) -> None:
        if options.consumer is None:
            raise OptionError("option consumer is missing")
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
            OffsetsError: the consumer has read on already, so it belongs to another query.
            OptionError: ``startingOffsets`` names a log that no bridge has.
        """
        view = self._bridges.poll(patient=True)
        view.require_all()
        refuse_unknown_logs("startingOffsets", self._options.starting.by_log, view)
        return {log_id: self._first_of_query(log_id, view.logs[log_id]) for log_id in sorted(view.logs)}

    def aim_at_present(self) -> None:
        """Make what is stored now the target that :meth:`latest_offset` never goes beyond."""
        view = self._bridges.poll(patient=True)
        view.require_all()
        self._target = {log_id: place.status.next_offset for log_id, place in view.logs.items()}

    def latest_offset(self, start_json: Mapping[str, object], limit: ReadLimit) -> Offsets:
        """Return the end of the next batch; the start itself when there is nothing to read.

        A bridge that has answered before and now does not is waited for: its log stays where it is. With a target there
        is no later, and a bridge that never answered may have a wrong address, so then it is an error.

        Raises:
            BridgeUnavailable: such a bridge does not answer.
            DataLoss: unread events are gone, and the options do not allow it.
            OffsetsError: a log holds less than was read from it.
        """
        start = read_offsets(start_json, "start")
        view = self._bridges.poll(patient=self._target is not None)
        if self._target is not None or not self._bridges.all_met():
            view.require_all()
        self._warn_of_silent(view)
        self._seen |= {log_id: place.status.next_offset for log_id, place in view.logs.items()}
        base = {log_id: self._readable_from(log_id, place, start.get(log_id)) for log_id, place in view.logs.items()}
        waiting = {log_id: max(self._ceiling(log_id) - offset, 0) for log_id, offset in base.items()}
        admitted = self._admit(waiting, view, limit, turn=sum(start.values()))
        end = {
            log_id: offset
            for log_id, offset in start.items()
            if log_id in view.logs or self._stays(log_id, offset, view)
        }
        return dict(sorted((end | {log_id: base[log_id] + count for log_id, count in admitted.items()}).items()))

    def report_latest_offset(self) -> Offsets | None:
        """Return how far the logs went when they were last seen. Asks nobody: Spark wants it after every trigger."""
        return dict(sorted(self._seen.items())) or None

    def partitions(self, start_json: Mapping[str, object], end_json: Mapping[str, object]) -> list[RangePartition]:
        """Return who reads what of a planned batch; the same for the same arguments, in any process.

        Raises:
            OffsetsError: a start is behind its end, or a log holds less than was planned.
            DataLoss: planned events are gone, and the options do not allow it.
            BridgeUnavailable: a log of the range is not found and a bridge does not answer.
        """
        start, end = read_offsets(start_json, "start"), read_offsets(end_json, "end")
        view = self._bridges.poll(patient=False)
        if view.silent and end.keys() - view.logs.keys():
            view = self._bridges.poll(patient=True)
            view.require_all()
        if not self._start_is_committed:
            self._start_is_committed = True
            self._commit(start, view)
        for log_id in end.keys() - start.keys():
            place = view.logs.get(log_id)
            start[log_id] = self._joining_offset(log_id, place) if place else 0
        return assign(ranges_between(start, end), view, self._options)

    def commit(self, end_json: Mapping[str, object]) -> None:
        """Tell the bridges that all below is done. One that does not take it hears it with the next commit."""
        self._commit(read_offsets(end_json, "end"), self._bridges.poll(patient=False))

    def close(self) -> None:
        """Close the connections to the bridges."""
        self._bridges.close()

    def _first_of_query(self, log_id: str, place: Place) -> int:
        starting = self._options.starting
        position = dict(starting.by_log).get(log_id, starting.word)
        known = place.status.consumers.get(self._consumer)
        if position == "committed":
            return self._joining_offset(log_id, place)
        try:
            first = place.client.start(self._consumer, log_id, position)
        except (RangeBelow, RangeAbove) as error:
            raise OffsetsError(f"option startingOffsets: log {log_id}: {error}") from None
        if known is not None and known["committed"] > first:
            raise OffsetsError(
                f"consumer {self._consumer!r} has read log {log_id} up to {known['committed']} already, but this query "
                "has no checkpoint: go on there with option startingOffsets=committed, or take another consumer name"
            )
        return first

    def _joining_offset(self, log_id: str, place: Place) -> int:
        """Return where a log starts that the query has not read yet: at its first event, unless it was known before.

        Stable while the batch that reads it first may be replayed: only a later batch commits.
        """
        known = place.status.consumers.get(self._consumer)
        return known["committed"] if known else place.client.start(self._consumer, log_id, "earliest")

    def _readable_from(self, log_id: str, place: Place, start: int | None) -> int:
        """Return the first offset that a batch can read of a log, at ``start`` or behind it."""
        offset = self._joining_offset(log_id, place) if start is None else start
        status = place.status
        if offset > status.next_offset:
            raise OffsetsError(
                f"log {log_id}: read up to {offset}, but bridge {place.client.address} has stored only up to "
                f"{status.next_offset}; was it restored from an older copy? New events would be skipped"
            )
        if offset < status.first_offset:
            self._loss.lose(
                f"log {log_id}: events {offset} to {status.first_offset - 1} are lost: the bridge has deleted them"
            )
        return max(offset, status.first_offset)

    def _ceiling(self, log_id: str) -> int:
        """Return how far a batch may read a log; nothing of one that joined after the target was set."""
        return self._seen[log_id] if self._target is None else min(self._target.get(log_id, 0), self._seen[log_id])

    def _admit(self, waiting: Offsets, view: View, limit: ReadLimit, turn: int) -> Offsets:
        """Return how many events of each log the next batch reads."""
        if isinstance(limit, ReadAllAvailable):
            return {log_id: count for log_id, count in waiting.items() if count}
        if isinstance(limit, ReadMinRows):
            enough = self._target is not None or sum(waiting.values()) >= limit.min_rows
            return {log_id: count for log_id, count in waiting.items() if count and enough}
        if not isinstance(limit, ReadMaxRows | ReadMaxBytes):
            raise OffsetsError(f"read limit {limit!r} has no meaning for events")
        max_bytes = limit.max_bytes if isinstance(limit, ReadMaxBytes) else self._options.max_bytes_per_trigger
        if max_bytes is not None:
            waiting = _within_bytes(waiting, view, max_bytes, turn)
        return share_fairly(waiting, limit.max_rows, turn) if isinstance(limit, ReadMaxRows) else waiting

    def _stays(self, log_id: str, offset: int, view: View) -> bool:
        """Whether a log that no bridge shows keeps its place in the offsets.

        It does while a bridge is silent, and when it was read to the end as far as was seen: should it come back,
        reading goes on there. Otherwise unread events are lost, and a query that may lose them forgets the log.
        """
        if view.silent:
            return True
        if self._seen.get(log_id) == offset:
            self._warn_once(
                f"gone {log_id}", f"log {log_id} is gone; all {offset} of its events that were seen are read"
            )
            return True
        self._loss.lose(f"log {log_id}: no bridge has it any more; what it held behind event {offset} is lost")
        return False

    def _commit(self, offsets: Offsets, view: View) -> None:
        for log_id, offset in offsets.items():
            place = view.logs.get(log_id)
            if place is None:
                continue
            try:
                place.client.commit(self._consumer, log_id, offset)
            except (BridgeError, SparkJobError) as error:
                logger.warning("commit of %d to log %s was not taken: %s", offset, log_id, error)

    def _warn_of_silent(self, view: View) -> None:
        for place in view.logs.values():
            self._warned.discard(f"silent {place.client.address}")
        for address, error in view.silent.items():
            self._warn_once(f"silent {address}", f"{error}; what it holds is read when it is back")

    def _warn_once(self, key: str, text: str) -> None:
        if key not in self._warned:
            self._warned.add(key)
            logger.warning("%s", text)


def _within_bytes(waiting: Offsets, view: View, max_bytes: int, turn: int) -> Offsets:
    """Return how many events of each log fit into ``max_bytes``, by the mean size of the events that each log holds.

    Each log in turn gets one event while there is room, the first one always: a limit below the size of an event would
    stop the query for good. What is left is spread in proportion to the bytes that wait.
    """
    logs = sorted(log_id for log_id, count in waiting.items() if count)
    first = turn % max(len(logs), 1)
    given: Offsets = {}
    left = max_bytes
    mean = {log_id: _mean_event_bytes(view.logs[log_id]) for log_id in logs}
    for log_id in logs[first:] + logs[:first]:
        if mean[log_id] <= left or not given:
            given[log_id] = 1
            left = max(left - mean[log_id], 0)
    more = {log_id: waiting[log_id] - 1 for log_id in given}
    total_bytes = sum(count * mean[log_id] for log_id, count in more.items())
    if total_bytes > left:
        more = {log_id: left * count // total_bytes for log_id, count in more.items()}
    return {log_id: 1 + more[log_id] for log_id in given}


def _mean_event_bytes(place: Place) -> int:
    status = place.status
    return max(status.used_bytes // max(status.next_offset - status.first_offset, 1), 1)
