"""Read-only access to a log, from the process that writes it or from another one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from avro_bridge.errors import BadRequest, RangeAbove, RangeBelow
from avro_bridge.log import metadata, places
from avro_bridge.log.dedup.records import NewestBatches
from avro_bridge.log.reader import RangeReader

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path
    from types import TracebackType

    from avro_bridge.log.environment import Environment
    from avro_bridge.log.metadata import Consumer, Metadata
    from avro_bridge.log.places import FileStored


class LogView:
    """A log for reading. Safe for use by several threads."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self.newest_batches = NewestBatches(environment)
        """The newest stored batch of each connection, for deduplication."""

    @property
    def folder(self) -> Path:
        """The folder of the log."""
        return self._environment.folder

    def metadata(self) -> Metadata:
        """Return identity, offsets, counters and consumers, all as of the last commit."""
        with self._environment.read() as transaction:
            return metadata.load(self._environment, transaction)

    @property
    def log_id(self) -> str:
        """The UUID of the log. An offset is only meaningful together with it."""
        return self.metadata().log_id

    @property
    def first_offset(self) -> int:
        """The first offset that is kept; ``next_offset`` when the log is empty."""
        return self.metadata().first_offset

    @property
    def next_offset(self) -> int:
        """The offset that the next event will get. Never goes back, whatever is deleted."""
        return self.metadata().next_offset

    @property
    def used_bytes(self) -> int:
        """Bytes of the pages that hold batches; ``max_bytes`` bounds this number."""
        return self.metadata().used_bytes

    def consumers(self) -> Mapping[str, Consumer]:
        """Return every known consumer."""
        return self.metadata().consumers

    def counters(self) -> Mapping[str, int]:
        """Return the durable counters; ``metadata.COUNTERS`` says what each one counts."""
        return self.metadata().counters

    def places(self, file_ids: Iterable[bytes]) -> dict[bytes, FileStored]:
        """Return what is stored of each of these files; a file that is not known is left out."""
        with self._environment.read() as transaction:
            found = {each: places.stored_of(self._environment, transaction, each) for each in file_ids}
        return {file_id: stored for file_id, stored in found.items() if stored is not None}

    def read(self, start: int, end: int) -> RangeReader:
        """Return an iterator over the batches that hold ``start <= offset < end``; see ``RangeReader``.

        Raises:
            BadRequest: ``start`` and ``end`` are not a range.
            RangeBelow: ``start`` is below the first offset that is kept.
            RangeAbove: ``end`` is above the next offset to be stored.
        """
        if not 0 <= start <= end:
            raise BadRequest(f"start {start} and end {end} are not a range")
        now = self.metadata()
        if start < now.first_offset:
            raise RangeBelow(f"offset {start} is below the first one that is kept, {now.first_offset}")
        if end > now.next_offset:
            raise RangeAbove(f"offset {end} is above the next one to be stored, {now.next_offset}")
        return RangeReader(self._environment, start, end)

    def close(self) -> None:
        """Refuse all further use. A reader in a transaction fails at its next one. A second call does nothing."""
        self._environment.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
