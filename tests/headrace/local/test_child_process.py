"""Child processes, real ones: their logs are bounded, and their end is certain."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from headrace.local.child_process import ChildProcess
from tests.support.processes import IGNORE_SIGTERM, WITH_CHILD
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


def python(code: str, tmp_path: Path) -> ChildProcess:
    return ChildProcess([sys.executable, "-c", code], tmp_path / "logs" / "stage.log", os.environ)


@pytest.fixture
def children() -> Iterator[list[ChildProcess]]:
    started: list[ChildProcess] = []
    yield started
    for child in started:
        child.end(0)


def test_a_lower_priority_holds_for_the_process_and_its_session(tmp_path: Path) -> None:
    child = ChildProcess([sys.executable, "-c", "import time; time.sleep(600)"], tmp_path / "log", os.environ)
    try:
        child.lower_priority(7)
        assert os.getpriority(os.PRIO_PROCESS, child.pid) == 7
        group = Path(f"/proc/{child.pid}/autogroup")
        if group.exists():
            assert group.read_text(encoding="ascii").rstrip().endswith("nice 7")
    finally:
        child.end(5.0)
    child.lower_priority(8)


def test_what_a_child_says_is_kept_and_its_exit_code_known(tmp_path: Path) -> None:
    child = python("import sys; print('first\\nthe cause', file=sys.stderr); sys.exit(3)", tmp_path)
    assert child.wait(30)
    assert child.exit_code() == 3
    assert child.last_lines() == ["first", "the cause"]
    assert child.end(1) == 3
    assert (tmp_path / "logs" / "stage.log").read_text() == "first\nthe cause\n"


def test_a_child_that_ignores_sigterm_is_killed(tmp_path: Path, children: list[ChildProcess]) -> None:
    child = python(IGNORE_SIGTERM, tmp_path)
    children.append(child)
    wait_until(child.last_lines, 30, "the child to be up")
    assert child.end(0.1) == -signal.SIGKILL


def test_the_children_of_a_child_go_with_it(tmp_path: Path, children: list[ChildProcess]) -> None:
    child = python(WITH_CHILD, tmp_path)
    children.append(child)
    grandchild = psutil.Process(int(wait_until(child.last_lines, 30, "the grandchild")[0]))
    assert child.end(5) == -signal.SIGTERM
    grandchild.wait(30)
