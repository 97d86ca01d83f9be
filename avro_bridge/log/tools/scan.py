"""Reading a log past its damage: for the tools that look at logs rather than serve them."""

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
    """Offsets ``first`` to ``last``, both inclusive, that cannot be read, and why."""

    first: int
    last: int
    reason: str

    @property
    def events(self) -> int:
        """How many offsets that are."""
        return self.last - self.first + 1


def scan(view: LogView, start: int, end: int) -> Iterator[StoredBatch | DamagedRange]:
    """Yield what holds the offsets ``start <= offset < end``, and in its place what cannot be read.

    A batch's payload is valid until the next step. What a bridge deletes meanwhile is passed over.

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
