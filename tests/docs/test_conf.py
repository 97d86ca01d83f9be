"""The table of contents is that of the lists in ``index.md``."""

from __future__ import annotations

from docs.conf import FOLDER, contents_of, without_links_outside

INDEX = """# T

Text with a [link](elsewhere.md).

## First

- [A](a.md): one
- [B](below/b.md)

## Second

- [C](c.md)
- [Outside](../README.md)

## Nothing

Text.
"""


def test_each_heading_with_pages_becomes_a_group_and_other_links_do_not() -> None:
    assert contents_of(INDEX) == (
        "```{toctree}\n:hidden:\n:caption: First\n\na\nbelow/b\n```\n\n"
        "```{toctree}\n:hidden:\n:caption: Second\n\nc\n```"
    )


def test_links_to_files_outside_the_folder_become_paths_and_others_stay() -> None:
    text = "[a](../README.md) [b](../jobs.md#x) [c](../../SECURITY.md#y) ([ivy.py](../../flume/jars/ivy.py))"
    assert without_links_outside(text, FOLDER / "howto" / "x.md") == (
        "[a](../README.md) [b](../jobs.md#x) c (`SECURITY.md`) (`flume/jars/ivy.py`)"
    )
    assert without_links_outside("[a](../README.md)", FOLDER / "index.md") == "a (`README.md`)"
    assert without_links_outside("[`flume/errors.py`](../flume/errors.py)", FOLDER / "x.md") == "`flume/errors.py`"
