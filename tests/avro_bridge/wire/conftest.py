"""The kernels are compiled before the first test, so that no single test pays for it."""

from __future__ import annotations

import pytest

from headrace.common.kernels import precompile


@pytest.fixture(scope="session", autouse=True)
def compiled_kernels() -> None:
    """Compile the kernels or load them from their cache."""
    precompile()
