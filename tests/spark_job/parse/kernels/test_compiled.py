"""Machine code of the kernels: where it is found, when it is not used, and what happens without it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba.core.caching import IndexDataCacheFile
from numba.core.registry import cpu_target

from spark_job.cli import main
from spark_job.parse.kernels.compiled import NUMBERS, ReadOnlyLocator, kernel
from spark_job.parse.kernels.sums import fill_slots

ROOT = Path(__file__).parents[4]
USE_KERNELS = """
from spark_job.parse.kernels.compiled import precompile
from spark_job.parse.kernels.sums import fill_slots
precompile()
print(type(fill_slots.compile()).__name__, sum(getattr(fill_slots.compile(), "_cache_hits", {}).values()))
"""


# numba publishes no types.
Locator: Any = ReadOnlyLocator
IndexFile: Any = IndexDataCacheFile


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


def a_source(folder: Path) -> tuple[Any, Path]:
    """Return the locator of a function in a file of its own, and the file."""
    source = folder / "source.py"
    source.write_text("def function():\n    pass\n")
    names: dict[str, Any] = {}
    exec(compile(source.read_text(), source, "exec"), names)  # noqa: S102 -- the text is the line above
    return Locator(names["function"], str(source)), source


def save_code(locator: Any, source: Path, machine: object) -> None:
    """Leave machine code beside the source, as numba does."""
    cache = source.parent / "__pycache__"
    cache.mkdir()
    version = f"py{sys.version_info.major}{sys.version_info.minor}"
    file = IndexFile(str(cache), f"source.function-1.{version}", locator.get_source_stamp())
    file.save(((), machine, ()), b"code")


def test_code_beside_the_source_is_found_without_writing(tmp_path: Path) -> None:
    locator, source = a_source(tmp_path)
    with pytest.raises(FileNotFoundError, match="no machine code beside it"):
        locator.ensure_cache_path()
    save_code(locator, source, cpu_target.target_context.codegen().magic_tuple())
    before = (source.parent / "__pycache__").stat().st_mtime_ns
    locator.ensure_cache_path()
    assert (source.parent / "__pycache__").stat().st_mtime_ns == before


def test_code_for_another_processor_source_or_numba_is_not_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locator, source = a_source(tmp_path)
    save_code(locator, source, ("another", "processor", ""))
    with pytest.raises(FileNotFoundError):
        locator.ensure_cache_path()
    shutil.rmtree(source.parent / "__pycache__")
    save_code(locator, source, cpu_target.target_context.codegen().magic_tuple())
    with monkeypatch.context() as patched:
        patched.setattr("numba.__version__", "0")
        with pytest.raises(FileNotFoundError):
            locator.ensure_cache_path()
    source.write_text("def function():\n    return 1\n")
    with pytest.raises(FileNotFoundError):
        locator.ensure_cache_path()


def test_precompiling_leaves_kernels_that_are_ready() -> None:
    assert main(["precompile"]) == 0
    slots = np.full(4, -1, np.int32)
    fill_slots(np.array([6, 2, 1]), slots)
    assert slots.tolist() == [-1, 2, 0, 1]


def test_an_error_of_the_compiler_is_not_taken_for_a_folder_that_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("out of order")

    monkeypatch.setattr("numba.njit", broken)
    with pytest.raises(RuntimeError, match="out of order"):
        kernel(f"int64({NUMBERS})")(len).compile()


def test_where_no_code_can_be_kept_it_is_made_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_cache(_signature: str, *, cache: bool = False, nogil: bool) -> Any:
        if cache:
            raise RuntimeError("cannot cache function")
        return lambda function: function

    monkeypatch.setattr("numba.njit", without_cache)
    made = kernel(f"int64({NUMBERS})")(len)
    assert made(np.arange(3)) == 3


def test_without_the_compiler_the_kernels_are_plain_python() -> None:
    assert run_kernels({"NUMBA_DISABLE_JIT": "1"}) == ["function", "0"]


@pytest.mark.slow
def test_machine_code_is_kept_where_the_environment_says_unless_it_lies_beside_the_source(tmp_path: Path) -> None:
    package = tmp_path / "spark_job"
    shutil.copytree(ROOT / "spark_job", package, ignore=shutil.ignore_patterns("__pycache__"))
    elsewhere = {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "NUMBA_DISABLE_JIT": "0"}
    assert run_kernels(elsewhere, tmp_path) == ["CPUDispatcher", "0"]
    assert list((tmp_path / "cache").rglob("*.nbi"))
    assert run_kernels(elsewhere, tmp_path) == ["CPUDispatcher", "1"]
    assert not list(package.rglob("*.nbi"))
    assert run_kernels({"NUMBA_DISABLE_JIT": "0"}, tmp_path) == ["CPUDispatcher", "0"]
    shutil.rmtree(tmp_path / "cache")
    assert run_kernels(elsewhere, tmp_path) == ["CPUDispatcher", "1"]
    assert not (tmp_path / "cache").exists()
