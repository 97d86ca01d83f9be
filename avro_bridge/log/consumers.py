"""Who reads the log, where each of them began, and what none of them needs any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from avro_bridge.errors import BadRequest, RangeAbove, RangeBelow

if TYPE_CHECKING:
    from avro_bridge.log.metadata import State

MAX_CONSUMERS: Final = 1000
MAX_NAME_BYTES: Final = 200

Position: TypeAlias = Literal["earliest", "latest"] | int
"""Where a new consumer begins."""


def refuse_unusable_name(name: str, now: State) -> None:
    """Refuse a name that cannot be a new consumer's.

    Raises:
        BadRequest: it says why.
    """
    if not name or not name.isprintable() or len(name.encode()) > MAX_NAME_BYTES:
        raise BadRequest(f"a consumer's name has 1 to {MAX_NAME_BYTES} bytes and no control characters")
    if len(now.consumers) >= MAX_CONSUMERS:
        raise BadRequest(f"there are {MAX_CONSUMERS} consumers already: forget one first")


def start_of(position: Position, now: State) -> int:
    """Return the offset that ``position`` stands for.

    Raises:
        BadRequest: it is no position.
        RangeBelow: it is below what is kept.
        RangeAbove: it is above the next offset.
    """
    if position == "earliest":
        return now.first_offset
    if position == "latest":
        return now.next_offset
    if type(position) is not int:
        raise BadRequest(f"position {str(position)[:50]!r} is neither 'earliest', 'latest' nor an offset")
    if position < now.first_offset:
        raise RangeBelow(f"offset {position} is below the first one that is kept, {now.first_offset}")
    if position > now.next_offset:
        raise RangeAbove(f"offset {position} is above the next one to be stored, {now.next_offset}")
    return position
