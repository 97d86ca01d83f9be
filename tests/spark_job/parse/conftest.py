"""Fixtures of the parser's tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True, scope="session")
def numbers_that_wrap() -> Iterator[None]:
    """Let kernels that are not compiled, as under a coverage tool, count modulo 2**64 as machine code does."""
    with np.errstate(over="ignore"):
        yield
