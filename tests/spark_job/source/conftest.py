"""Fixtures of the sources' tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.planning import World

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def world() -> Iterator[World]:
    """Return a place for bridges that come and go."""
    with World() as world:
        yield world
