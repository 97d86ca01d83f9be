"""The committed examples are what their values render to, and a difference is shown and can be written."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from flume.config import rendered_examples
from flume.config.render import CONFIGURATION

if TYPE_CHECKING:
    from pathlib import Path


def test_the_examples_cover_what_the_values_offer() -> None:
    names = {folder.name for folder in rendered_examples.example_folders()}
    assert names == {"memory", "file", "blocks", "tls", "deflate", "load_balance", "failover", "parallel"}


def test_the_committed_examples_are_what_is_rendered() -> None:
    assert rendered_examples.diff() == ""


def test_a_difference_is_shown_and_can_be_written(tmp_path: Path) -> None:
    root = tmp_path / "rendered"
    shutil.copytree(rendered_examples.RENDERED, root)
    changed, gone = root / "file" / CONFIGURATION, root / "tls" / "old.xml"
    changed.write_text(changed.read_text().replace("batch-size = 5000", "batch-size = 7"))
    gone.write_text("left over\n")
    shown = rendered_examples.diff(root)
    assert "-headrace.sinks.bridge0_0.batch-size = 7\n+headrace.sinks.bridge0_0.batch-size = 5000\n" in shown
    assert "--- committed/tls/old.xml" in shown
    gone.unlink()
    assert rendered_examples.update(root) == [changed]
    assert rendered_examples.diff(root) == ""
