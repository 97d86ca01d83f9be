"""Messages to the user: marked on each line, harmless, and no failure when nobody can read them."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from headrace.messages import say

if TYPE_CHECKING:
    import pytest


def test_each_line_is_marked_and_none_can_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    say("one\ntwo \x1b[2J\u202e")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == ["headrace: one", "headrace: two \N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}"]


def test_a_lost_terminal_does_not_end_who_speaks() -> None:
    code = "import os, sys; os.close(2); from headrace.messages import say; say('lost'); print('goes on')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "goes on\n")
