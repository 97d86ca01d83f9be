"""Builds the source distribution and the wheel."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from tests.support.source_tree import ROOT

if TYPE_CHECKING:
    from pathlib import Path


def build(folder: Path) -> Path:
    """Build the source distribution, and from it the wheel, into ``folder``; return it."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return folder
