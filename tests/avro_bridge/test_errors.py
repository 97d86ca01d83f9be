"""The errors as readers and metrics see them."""

from __future__ import annotations

import re

import pytest

from avro_bridge import errors
from avro_bridge.errors import BridgeError, EventError, LogDamaged

CLASSES = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, BridgeError)]


def test_each_class_has_its_own_case_of_plain_letters() -> None:
    cases = [cls.case for cls in CLASSES]
    assert len(set(cases)) == len(cases), "a reader decides by it"
    assert all(re.fullmatch(r"[a-z_]+", case) for case in cases)


def test_the_drawing_says_which_errors_are_worth_a_retry() -> None:
    drawn = dict(re.findall(r"(\w+) +\w+ +(retry|never retry)  ", errors.__doc__ or ""))
    concrete = {cls.__name__: "retry" if cls.retry else "never retry" for cls in CLASSES if cls.__name__ in drawn}
    assert drawn == concrete
    assert len(drawn) == len(CLASSES) - 3, "all but the three that only group others"


def test_a_damaged_range_is_in_text_and_attributes() -> None:
    error = LogDamaged("no such batch", 5, 9)
    assert str(error) == "offsets 5 to 9: no such batch"
    assert (error.first, error.last) == (5, 9)


def test_malformed_events_name_the_byte() -> None:
    with pytest.raises(EventError, match=r"^a length is negative, at byte 7 of the payload$") as caught:
        raise EventError("a length is negative", 7)
    assert caught.value.position == 7
