"""A port that belongs to one test, for a bridge that is restarted on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.delivery import reserved_port

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def port() -> Iterator[int]:
    """A port that refuses connections while no server of the test listens on it."""
    with reserved_port() as number:
        yield number
