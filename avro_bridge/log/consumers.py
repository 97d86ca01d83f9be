"""Consumers: checks of their names and of the position at which a new one starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from avro_bridge.contract import MAX_CONSUMER_BYTES, is_consumer_name
from avro_bridge.errors import BadRequest, RangeAbove, RangeBelow

if TYPE_CHECKING:
    from avro_bridge.log.metadata import Metadata

MAX_CONSUMERS: Final = 1000

Position: TypeAlias = Literal["earliest", "latest"] | int
"""Where a new consumer starts."""


def refuse_unusable_name(name: str, now: Metadata) -> None:
    """Refuse a name that a new consumer cannot have.

    Raises:
        BadRequest: the name is empty, too long or not printable, or the log has too many consumers.
    """
    if not is_consumer_name(name):
        raise BadRequest(f"a consumer's name has 1 to {MAX_CONSUMER_BYTES} bytes and no control characters")
    if len(now.consumers) >= MAX_CONSUMERS:
        raise BadRequest(f"the log has {MAX_CONSUMERS} consumers already: forget one first")


def start_of(position: Position, now: Metadata) -> int:
    """Return the offset that ``position`` stands for.

    Raises:
        BadRequest: ``position`` is neither a word nor an offset.
        RangeBelow: the offset is below the first one that is kept.
        RangeAbove: the offset is above the next one to be stored.
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
