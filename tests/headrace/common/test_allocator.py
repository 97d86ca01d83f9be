"""The allocator's setting concerns the whole process, so it is tried in another one."""

from __future__ import annotations

import subprocess
import sys

import pytest

from headrace.common import allocator

FAULTS = """
import resource, sys
from headrace.common.allocator import keep_freed_memory
if sys.argv[1] == "keep" and not keep_freed_memory():
    print(-1)
    sys.exit()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
bytes(4 * 2**20)
before = faults()
for _time in range(50):
    bytearray(4 * 2**20)[:: 4096] = bytes(1024)
print(faults() - before)
"""


def page_faults(how: str) -> int:
    ran = subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True)
    return int(ran.stdout)


def test_kept_memory_is_not_faulted_in_again() -> None:
    kept = page_faults("keep")
    if kept < 0:
        pytest.skip("this allocator has no such setting")
    assert kept < page_faults("default")


def test_an_allocator_without_the_setting_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda _name: object())
    assert not allocator.keep_freed_memory()


def test_what_is_asked_of_the_allocator(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[int, int] = {}

    class Allocator:
        def mallopt(self, name: int, value: int) -> int:
            asked[name] = value
            return 1

    monkeypatch.setattr("ctypes.CDLL", lambda _name: Allocator())
    assert allocator.keep_freed_memory(1000, one_arena=True)
    assert asked == {-3: 32 * 2**20, -1: 1000, -8: 1}
    asked.clear()
    assert allocator.keep_freed_memory(1000)
    assert asked == {-3: 32 * 2**20, -1: 1000}
