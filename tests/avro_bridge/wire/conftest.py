"""The kernels are compiled before the first test, so that no single test pays for it."""

from __future__ import annotations

import pytest
from hypothesis import settings

from headrace.common.kernels import precompile

# How long an example takes on a busy machine says nothing about the code.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture(scope="session", autouse=True)
def compiled_kernels() -> None:
    """Compile the kernels or load them from their cache."""
    precompile()
