"""What anyone may do with a log: look at it and read it, in the process that writes it or beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from avro_bridge.errors import BadRequest, RangeAbove, RangeBelow
from avro_bridge.log import metadata, retention
from avro_bridge.log.dedup import records
from avro_bridge.log.reader import RangeReader

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

    from avro_bridge.log.dedup.records import DoubtRecord
    from avro_bridge.log.environment import Environment
    from avro_bridge.log.metadata import Consumer, State


class LogView:
    """A log for reading. Safe for use by several threads."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    @property
    def folder(self) -> Path:
        """Where the log lies."""
        return self._environment.folder

    def state(self) -> State:
        """Return a consistent picture of the log as of its last commit."""
        with self._environment.read() as transaction:
            return metadata.load(self._environment, transaction)

    @property
    def log_id(self) -> str:
        """The UUID made with the log. Offsets mean something only together with it."""
        return self.state().log_id

    @property
    def first_offset(self) -> int:
        """The first offset that is kept; equal to ``next_offset`` when none is."""
        return self.state().first_offset

    @property
    def next_offset(self) -> int:
        """The offset that the next event will get. Never goes back, whatever is deleted."""
        return self.state().next_offset

    @property
    def used_bytes(self) -> int:
        """Bytes of the pages that hold batches; what ``max_bytes`` bounds."""
        return self.state().used_bytes

    def consumers(self) -> Mapping[str, Consumer]:
        """Return every known consumer."""
        return self.state().consumers

    def counters(self) -> Mapping[str, int]:
        """Return the durable counters; ``state.COUNTERS`` says what each one counts."""
        return self.state().counters

    def read(self, start: int, end: int) -> RangeReader:
        """Return an iterator over the batches that hold ``start <= offset < end``; see there for its promises.

        Raises:
            BadRequest: ``start`` and ``end`` are not a range.
            RangeBelow: ``start`` is below what is kept.
            RangeAbove: ``end`` is above what is stored.
        """
        if not 0 <= start <= end:
            raise BadRequest(f"start {start} and end {end} are not a range")
        now = self.state()
        if start < now.first_offset:
            raise RangeBelow(f"offset {start} is below the first one that is kept, {now.first_offset}")
        if end > now.next_offset:
            raise RangeAbove(f"offset {end} is above the next one to be stored, {now.next_offset}")
        return RangeReader(self._environment, start, end)

    def doubt_records(self) -> list[DoubtRecord]:
        """Return the newest stored batch of every connection that is still recorded."""
        with self._environment.read() as transaction:
            return list(records.get_all(self._environment, transaction))

    def doubt_record(self, connection_id: int) -> DoubtRecord | None:
        """Return the newest stored batch of a connection, if it is still recorded."""
        with self._environment.read() as transaction:
            return records.get(self._environment, transaction, connection_id)

    def ids_in_doubt(self, doubt: DoubtRecord, header: str) -> frozenset[bytes]:
        """Return the ids of the batch that ``doubt`` names: from the batch, or from what retention left of it."""
        if doubt.ids is not None:
            return doubt.ids
        with self._environment.read() as transaction:
            return retention.stored_ids(self._environment, transaction, doubt, header)

    def close(self) -> None:
        """Refuse all further use. Readers that are in a transaction end at their next step; a second call is free."""
        self._environment.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
