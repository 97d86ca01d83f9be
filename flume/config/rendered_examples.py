"""Compares the committed example configurations with what their values render to, and updates them.

Each folder in rendered/ holds a values.toml and the files rendered from it. They show each kind of configuration, and a
change of a template shows as a change of files that a reviewer can read.
"""

from __future__ import annotations

import difflib
from pathlib import Path

from flume.config.render import render_texts
from flume.config.values import load_values

RENDERED = Path(__file__).resolve().parent / "rendered"
VALUES_FILE = "values.toml"


def example_folders(root: Path = RENDERED) -> list[Path]:
    """Return the folders of the examples, sorted by name."""
    return sorted(path.parent for path in root.glob(f"*/{VALUES_FILE}"))


def diff(root: Path = RENDERED) -> str:
    """Return the unified diff from the committed files to the rendered ones; empty if they are the same.

    A file that the renderer no longer writes shows as removed.

    Raises:
        ValuesError, RenderError: an example's values cannot be used.
    """
    parts: list[str] = []
    for folder in example_folders(root):
        rendered = render_texts(load_values(folder / VALUES_FILE))
        committed = {path.name for path in folder.iterdir()} - {VALUES_FILE}
        for name in sorted(committed | rendered.keys()):
            path = folder / name
            before = path.read_text(encoding="utf-8") if path.is_file() else ""
            label = path.relative_to(root).as_posix()
            lines = difflib.unified_diff(
                before.splitlines(keepends=True),
                rendered.get(name, "").splitlines(keepends=True),
                f"committed/{label}",
                f"rendered/{label}",
            )
            parts.extend(lines)
    return "".join(parts)


def update(root: Path = RENDERED) -> list[Path]:
    """Render every example into its folder; return the files that changed."""
    changed: list[Path] = []
    for folder in example_folders(root):
        for name, text in render_texts(load_values(folder / VALUES_FILE)).items():
            path = folder / name
            if not path.is_file() or path.read_text(encoding="utf-8") != text:
                path.write_text(text, encoding="utf-8")
                changed.append(path)
    return changed
