"""Reads the project's pages: links, anchors, tables, and what stands in code."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.support.source_tree import project_files

if TYPE_CHECKING:
    from pathlib import Path

FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)


def pages() -> list[Path]:
    """Return every page of the project."""
    return [path for path in project_files() if path.suffix == ".md"]


def without_blocks(text: str) -> str:
    """Return a page without its code blocks."""
    return FENCE.sub("", text)


def blocks(text: str, language: str) -> list[str]:
    """Return the code blocks of one language."""
    return [match[3] for match in FENCE.finditer(text) if match[2] == language]


def spans(text: str) -> list[str]:
    """Return the code spans of a page."""
    return re.findall(r"`([^`\n]+)`", without_blocks(text))


def code_of(text: str) -> str:
    """Return what stands in code blocks and code spans, a line each."""
    return "\n".join([*(match[3] for match in FENCE.finditer(text)), *spans(text)])


def links(text: str) -> list[str]:
    """Return the targets of all links that are no URLs of the web."""
    return [
        target for target in re.findall(r"\]\(([^)\s]+)\)", without_blocks(text)) if not re.match(r"[a-z]+:", target)
    ]


def anchors(text: str) -> set[str]:
    """Return the anchors of all headings, as Git hosts and MyST make them."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", without_blocks(text), re.MULTILINE):
        name = slug(heading)
        number = 0
        while (anchor := f"{name}-{number}" if number else name) in found:
            number += 1
        found.add(anchor)
    return found


def slug(heading: str) -> str:
    """Return the anchor of a heading that occurs once."""
    plain = re.sub(r"[`*]|\[|\]\([^)]*\)", "", heading).strip().lower()
    return re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", plain))


def tables_under(heading: str, text: str) -> list[dict[str, str]]:
    """Return the rows of the tables between a heading and the next one of its level or above."""
    match = re.search(rf"^(#+) {re.escape(heading)}\s*$", text, re.MULTILINE)
    assert match is not None, f"the page has no heading {heading!r}"
    rest = text[match.end() :]
    end = re.search(rf"^#{{1,{len(match[1])}}} ", rest, re.MULTILINE)
    rows: list[dict[str, str]] = []
    names: list[str] = []
    for line in rest[: end.start() if end else None].splitlines():
        if not line.startswith("|"):
            names = []
            continue
        cells = [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
        if not names:
            names = [cell.lower() for cell in cells]
        elif not all(set(cell) <= set(":- ") for cell in cells):
            rows.append(dict(zip(names, cells, strict=True)))
    return rows
