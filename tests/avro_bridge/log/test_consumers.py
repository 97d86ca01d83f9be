"""Consumers: which names and positions are accepted."""

from __future__ import annotations

from typing import Any

import pytest

from avro_bridge.errors import BadRequest, RangeAbove, RangeBelow
from avro_bridge.log.consumers import MAX_CONSUMERS, refuse_unusable_name, start_of
from avro_bridge.log.metadata import Consumer, Metadata

NOW = Metadata("id", first_offset=4, next_offset=10)


@pytest.mark.parametrize("name", ["a", "spark job 1", "ü" * 100, "x" * 200])
def test_a_printable_name_of_up_to_200_bytes_is_accepted(name: str) -> None:
    refuse_unusable_name(name, NOW)


@pytest.mark.parametrize("name", ["", "a\nb", "\x1b[31m", "\u202e", "ü" * 101, "x" * 201])
def test_any_other_name_is_refused(name: str) -> None:
    with pytest.raises(BadRequest, match="1 to 200 bytes and no control characters"):
        refuse_unusable_name(name, NOW)


def test_the_last_free_place_can_be_taken_and_no_more() -> None:
    consumers = {str(number): Consumer(4, 4) for number in range(MAX_CONSUMERS)}
    full = Metadata("id", consumers=consumers)
    with pytest.raises(BadRequest, match=f"{MAX_CONSUMERS} consumers already: forget one first"):
        refuse_unusable_name("one more", full)
    consumers.pop("0")
    refuse_unusable_name("one more", full)


@pytest.mark.parametrize(("position", "offset"), [("earliest", 4), ("latest", 10), (4, 4), (7, 7), (10, 10)])
def test_a_position_stands_for_an_offset(position: Any, offset: int) -> None:
    assert start_of(position, NOW) == offset


@pytest.mark.parametrize(
    ("position", "error", "text"),
    [
        (3, RangeBelow, "offset 3 is below the first one that is kept, 4"),
        (-1, RangeBelow, "offset -1 is below"),
        (11, RangeAbove, "offset 11 is above the next one to be stored, 10"),
        ("newest", BadRequest, "'newest' is neither 'earliest', 'latest' nor an offset"),
        # True is an int in Python, but no offset.
        (True, BadRequest, "'True' is neither"),
        (5.0, BadRequest, "'5.0' is neither"),
        (None, BadRequest, "'None' is neither"),
    ],
)
def test_any_other_position_is_refused(position: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        start_of(position, NOW)
