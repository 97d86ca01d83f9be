"""The committed renderings: what each kind of configuration looks like, and proof that a template's change was meant.

Each folder of rendered/ holds a values.toml and the files that it renders to. `check` compares, `diff` shows, `update`
writes; tests and the command line use the same three.
"""

from __future__ import annotations

import difflib
from pathlib import Path

from flume.config.render import render_texts
from flume.config.values import load_values

RENDERED = Path(__file__).resolve().parent / "rendered"
VALUES_FILE = "values.toml"


def example_folders(root: Path = RENDERED) -> list[Path]:
    """Return the folders of the examples, by name."""
    return sorted(path.parent for path in root.glob(f"*/{VALUES_FILE}"))


def diff(root: Path = RENDERED) -> str:
    """Return the unified difference from what is committed to what would be rendered; empty where nothing drifted.

    A file that the renderer does not write any more shows as removed.

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


def check(root: Path = RENDERED) -> int:
    """Return the exit code of ``headrace render --check``: 0 where nothing drifted, else 1."""
    return 1 if diff(root) else 0


def update(root: Path = RENDERED) -> list[Path]:
    """Write every example anew; returns the files that changed."""
    changed: list[Path] = []
    for folder in example_folders(root):
        for name, text in render_texts(load_values(folder / VALUES_FILE)).items():
            path = folder / name
            if not path.is_file() or path.read_text(encoding="utf-8") != text:
                path.write_text(text, encoding="utf-8")
                changed.append(path)
    return changed
