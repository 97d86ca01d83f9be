"""Compilation: one signature, a cache, a folder that cannot be written, no compiler at all."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from avro_bridge.wire.kernels.compiled import NUMBERS, kernel
from avro_bridge.wire.limits import WireLimits
from tests.support.wire_client import ClientConnection

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROOT = Path(__file__).parents[4]
ONE_CALL = ClientConnection(WireLimits()).append({"k": "v"}, b"body")
USE_KERNELS = f"""
from avro_bridge.wire.kernels.compiled import precompile
from avro_bridge.wire.kernels.walk import walk
from avro_bridge.wire.limits import WireLimits
from avro_bridge.wire.server import ServerConnection
precompile()
((call,), _) = ServerConnection(WireLimits()).receive({bytes(ONE_CALL)!r})
hits = sum(getattr(walk.compile(), "_cache_hits", {{}}).values())
print(call.event_count, type(walk.compile()).__name__, hits)
"""


@kernel(f"int64({NUMBERS})")
def total(numbers: NDArray[np.int64]) -> int:
    """The sum, for these tests."""
    result = 0
    for each in range(len(numbers)):
        result += numbers[each]
    return result


def test_a_kernel_compiles_at_its_first_call_and_takes_one_set_of_types() -> None:
    assert total(np.arange(4)) == 6
    assert total.compile() is total.compile()


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="plain Python takes any types")
def test_other_types_are_an_error_not_another_compilation() -> None:
    wrong: Any = np.ones(3)
    with pytest.raises(TypeError, match="No matching definition"):
        total(wrong)


def run_kernels(environment: dict[str, str], folder: Path = ROOT) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", USE_KERNELS],
        env=os.environ | environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout.split()


def test_without_the_compiler_the_kernels_are_plain_python() -> None:
    count, kind, _ = run_kernels({"NUMBA_DISABLE_JIT": "1"})
    assert (count, kind) == ("1", "function")


@pytest.mark.slow
def test_machine_code_is_kept_where_the_environment_says(tmp_path: Path) -> None:
    environment = {"NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_DISABLE_JIT": "0"}
    assert run_kernels(environment) == ["1", "CPUDispatcher", "0"]
    assert list(tmp_path.rglob("*.nbi"))
    assert run_kernels(environment) == ["1", "CPUDispatcher", "1"]


@pytest.mark.slow
def test_kernels_work_where_nothing_can_be_written(tmp_path: Path) -> None:
    # A copy whose folder for caches is a file, and no other place offered: even root cannot write there.
    package = tmp_path / "avro_bridge"
    shutil.copytree(ROOT / "avro_bridge", package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "wire" / "__pycache__").write_text("")
    (tmp_path / "file").write_text("")
    environment = {"NUMBA_CACHE_DIR": str(tmp_path / "file"), "HOME": str(tmp_path / "file"), "NUMBA_DISABLE_JIT": "0"}
    environment |= {"XDG_CACHE_HOME": str(tmp_path / "file"), "PYTHONDONTWRITEBYTECODE": "1"}
    assert run_kernels(environment, tmp_path) == ["1", "CPUDispatcher", "0"]
