"""Machine code of the kernels: where it is found, when it is not used, and what happens without it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numba.core.caching import IndexDataCacheFile
from numba.core.registry import cpu_target

from headrace.common.kernels import NUMBERS, Kernel, ReadOnlyLocator, kernel
from tests.support.source_tree import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

MODULE = f"""
from headrace.common.kernels import NUMBERS, kernel

@kernel("int64({NUMBERS})")
def total(numbers):
    result = 0
    for each in range(len(numbers)):
        result += numbers[each]
    return result
"""
USE = """
import numpy
from tiny import total
made = total.compile()
print(total(numpy.arange(4)), type(made).__name__, sum(getattr(made, "_cache_hits", {}).values()))
"""

# numba publishes no types.
Locator: Any = ReadOnlyLocator
IndexFile: Any = IndexDataCacheFile


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


def test_an_error_of_the_compiler_is_not_taken_for_a_folder_that_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("out of order")

    monkeypatch.setattr("numba.njit", broken)
    with pytest.raises(RuntimeError, match="out of order"):
        Kernel(len, f"int64({NUMBERS})").compile()


def test_where_no_code_can_be_kept_it_is_made_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_cache(_signature: str, *, cache: bool = False, nogil: bool) -> Any:
        if cache:
            raise RuntimeError("cannot cache function")
        return lambda function: function

    monkeypatch.setattr("numba.njit", without_cache)
    made = Kernel(len, f"int64({NUMBERS})")
    assert made(np.arange(3)) == 3


def use(folder: Path, **environment: str) -> list[str]:
    """Run the kernel of a module in ``folder`` in a process of its own; return sum, kind of code and cache hits."""
    (folder / "tiny.py").write_text(MODULE)
    paths = {"PYTHONPATH": f"{ROOT}{os.pathsep}{folder}", "NUMBA_DISABLE_JIT": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", USE]
    done = subprocess.run(
        command, env=os.environ | paths | environment, capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout.split()


def test_without_the_compiler_the_kernels_are_plain_python(tmp_path: Path) -> None:
    assert use(tmp_path, NUMBA_DISABLE_JIT="1") == ["6", "function", "0"]


def test_machine_code_is_kept_where_the_environment_says_unless_it_lies_beside_the_source(tmp_path: Path) -> None:
    source, cache = tmp_path / "source", tmp_path / "cache"
    source.mkdir()
    assert use(source, NUMBA_CACHE_DIR=str(cache)) == ["6", "CPUDispatcher", "0"]
    assert list(cache.rglob("*.nbi"))
    assert use(source, NUMBA_CACHE_DIR=str(cache)) == ["6", "CPUDispatcher", "1"]
    assert not list(source.rglob("*.nbi"))
    assert use(source, NUMBA_CACHE_LOCATOR_CLASSES="InTreeCacheLocator") == ["6", "CPUDispatcher", "0"]
    shutil.rmtree(cache)
    assert use(source, NUMBA_CACHE_DIR=str(cache)) == ["6", "CPUDispatcher", "1"]
    assert not cache.exists()


def test_by_default_it_is_kept_in_the_users_cache_folder(tmp_path: Path) -> None:
    source, user = tmp_path / "source", tmp_path / "user"
    source.mkdir()
    assert use(source, XDG_CACHE_HOME=str(user)) == ["6", "CPUDispatcher", "0"]
    assert use(source, XDG_CACHE_HOME=str(user)) == ["6", "CPUDispatcher", "1"]
    assert not list(source.rglob("*.nbi"))


def test_kernels_work_where_nothing_can_be_written(tmp_path: Path) -> None:
    # The folders for caches are a file: even root cannot write there.
    (tmp_path / "file").write_text("")
    place = str(tmp_path / "file")
    assert use(tmp_path, NUMBA_CACHE_DIR=place, HOME=place, XDG_CACHE_HOME=place) == ["6", "CPUDispatcher", "0"]
