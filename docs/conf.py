"""Sphinx configuration: MyST Markdown with the furo theme, built without a network.

The pages are plain Markdown that any Git host shows, so they hold no directives. The table of contents comes from
``index.md``: each list under a heading of that page becomes one group of the side bar.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent

project = "Headrace"
author = "the authors of Headrace"
release = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
myst_heading_anchors = 4
html_theme = "furo"
html_title = f"{project} {release}"
html_copy_source = False
html_show_sphinx = False


def contents_of(index: str) -> str:
    """Return a hidden table of contents for each list of links to pages in ``index``, as MyST directives."""
    groups: list[str] = []
    for section in re.split(r"^## ", index, flags=re.MULTILINE)[1:]:
        heading, _, body = section.partition("\n")
        pages = re.findall(r"^- \[[^\]]+\]\(([^):#]+)\.md\)", body, re.MULTILINE)
        inside = [page for page in pages if not page.startswith("..")]
        if inside:
            groups.append("\n".join(["```{toctree}", ":hidden:", f":caption: {heading}", "", *inside, "```"]))
    return "\n\n".join(groups)


def without_links_outside(text: str, page: Path) -> str:
    """Return the text of a page, each link to a file outside this folder replaced by the file's path in the repository.

    The site has no such file to link to, and knows no address of the repository. A Git host shows the links.
    """

    def replaced(match: re.Match[str]) -> str:
        words, target = match[1], (page.parent / match[2]).resolve()
        if target.is_relative_to(FOLDER):
            return match[0]
        path = target.relative_to(ROOT).as_posix()
        return f"`{path}`" if path.endswith(words.strip("`")) else f"{words} (`{path}`)"

    return re.sub(r"\[([^\]]+)\]\(((?:\.\./)+[^()#\s]+)(?:#[\w-]+)?\)", replaced, text)


def setup(app: Sphinx) -> None:
    """Prepare each page when it is read: the table of contents of ``index.md``, and links that the site cannot have."""

    def prepare(_app: Sphinx, name: str, source: list[str]) -> None:
        contents = f"\n{contents_of(source[0])}\n" if name == "index" else ""
        source[0] = without_links_outside(source[0], FOLDER / f"{name}.md") + contents

    app.connect("source-read", prepare)
