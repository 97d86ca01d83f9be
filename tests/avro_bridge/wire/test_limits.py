"""Bounds that are none are refused where they are set."""

from __future__ import annotations

from dataclasses import fields

import pytest

from avro_bridge.wire.limits import WireLimits


@pytest.mark.parametrize("name", [field.name for field in fields(WireLimits)])
@pytest.mark.parametrize("value", [0, -1])
def test_a_bound_is_positive(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at least 1, not {value}"):
        WireLimits(**{name: value})


def test_a_frame_stays_within_what_arrow_can_address() -> None:
    with pytest.raises(ValueError, match="max_frame_bytes must be at most 1073741824"):
        WireLimits(max_frame_bytes=2**31)
    assert WireLimits(max_frame_bytes=2**30).max_frame_bytes == 2**30
