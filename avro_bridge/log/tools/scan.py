"""Scan: reads a log past damaged ranges, for the tools that check and list logs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from avro_bridge.errors import LogDamaged, LogVersion, RangeBelow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from avro_bridge.log.read_only import LogView
    from avro_bridge.log.record import StoredBatch


@dataclass(frozen=True, slots=True)
class DamagedRange:
    """Offsets ``first`` to ``last``, both inclusive, that cannot be read, with the reason."""

    first: int
    last: int
    reason: str

    @property
    def events(self) -> int:
        """The number of offsets."""
        return self.last - self.first + 1


def scan(view: LogView, start: int, end: int) -> Iterator[StoredBatch | DamagedRange]:
    """Yield the batches that hold ``start <= offset < end``, and a damaged range in place of what cannot be read.

    A batch's payload is valid until the next step. Batches that a bridge deletes meanwhile are skipped.

    Raises:
        RangeBelow, RangeAbove, BadRequest: as ``LogView.read``.
    """
    with view.read(start, end) as reader:
        while True:
            begin = reader.position
            try:
                yield next(reader)
            except StopIteration:
                return
            except LogDamaged as error:
                yield DamagedRange(error.first, error.last, str(error).partition(": ")[2])
            except LogVersion as error:
                yield DamagedRange(begin, reader.position - 1, str(error))
            except RangeBelow:
                reader.skip_to(view.first_offset)
