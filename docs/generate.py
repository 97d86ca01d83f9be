"""Writes the reference pages from the code that they describe.

``python -m docs.generate`` writes them, ``python -m docs.generate --check`` compares them and ends with exit code 1 if
one differs. The pages are committed, so that they can be read without building anything.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from docs import command_reference, jobs_reference, layers_reference, settings_reference
from headrace.common.text import first_difference

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

FOLDER = Path(__file__).resolve().parent
RENEW = "make generate"

PAGES: dict[str, Callable[[], str]] = {
    "reference/cli.md": command_reference.page,
    "reference/bridge.md": settings_reference.bridge_page,
    "reference/containers.md": settings_reference.containers_page,
    "reference/agent-values.md": settings_reference.agent_values_page,
    "reference/spark-options.md": settings_reference.spark_options_page,
    "architecture.md": layers_reference.page,
    "jobs.md": jobs_reference.page,
}
"""Each generated page, and the function that returns its text. Of the last two only a part is generated."""


def out_of_date(folder: Path, pages: Mapping[str, Callable[[], str]]) -> list[str]:
    """Return what is wrong with each page in ``folder`` that is missing or differs from the code."""
    found = []
    for name, make in pages.items():
        path = folder / name
        if not path.exists():
            found.append(f"{path}: the page is missing; to write it, run `{RENEW}`")
            continue
        difference = first_difference(path.read_text(encoding="utf-8"), make())
        if difference:
            found.append(f"{path}: the page differs from the code; to renew it, run `{RENEW}`\n{difference}")
    return found


def write(folder: Path, pages: Mapping[str, Callable[[], str]]) -> list[Path]:
    """Write the pages that differ into ``folder``, and return their paths."""
    written = []
    for name, make in pages.items():
        path, text = folder / name, make()
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            written.append(path)
    return written


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the pages; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m docs.generate", description="Write the reference pages.")
    parser.add_argument("--check", action="store_true", help="compare the pages instead of writing them")
    given = parser.parse_args(arguments)
    if given.check:
        problems = out_of_date(FOLDER, PAGES)
        sys.stderr.write("".join(f"{problem}\n" for problem in problems))
        return 1 if problems else 0
    sys.stderr.write("".join(f"{path}: written\n" for path in write(FOLDER, PAGES)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
