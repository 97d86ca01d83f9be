"""The README is short, and its Python snippet prints what stands below it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.sample import SampleSettings, sample_lines
from tests.support.bridges import RealBridge
from tests.support.markdown import blocks
from tests.support.source_tree import ROOT

MAX_BYTES = 10 * 1024
DEFAULT_ADDRESS = "127.0.0.1:4142"
TIMEOUT_S = 180


def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readme_is_short() -> None:
    size = len(readme().encode())
    assert size <= MAX_BYTES, f"README.md has {size:,} bytes, more than {MAX_BYTES:,}: move details to docs/"


@pytest.mark.spark
@pytest.mark.slow
@pytest.mark.timeout(TIMEOUT_S + 60)
def test_the_snippet_prints_what_stands_below_it(tmp_path: Path) -> None:
    """Only the port differs: the bridge of this test takes a free one."""
    (snippet,) = blocks(readme(), "python")
    shown = readme().partition(snippet)[2].split("```\n")[2]
    with RealBridge(tmp_path / "log") as bridge:
        bridge.extend([line.rstrip(b"\n") for line in sample_lines(SampleSettings(lines=20_000))])
        assert DEFAULT_ADDRESS in snippet
        (tmp_path / "snippet.py").write_text(snippet.replace(DEFAULT_ADDRESS, bridge.address), encoding="utf-8")
        # An active virtual environment is one whose programs come first on the PATH.
        environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        ran = subprocess.run(
            ["python", "snippet.py"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == shown.strip()
