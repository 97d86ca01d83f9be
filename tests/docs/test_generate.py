"""The generator writes what differs and names what is out of date."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docs.generate import out_of_date, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PAGES: dict[str, Callable[[], str]] = {"a.md": lambda: "# A\n", "b.md": lambda: "# B\n"}


def test_a_page_that_differs_is_named_with_the_command_that_renews_it(tmp_path: Path) -> None:
    write(tmp_path, PAGES)
    (tmp_path / "a.md").write_text("# A, edited by hand\n")
    (tmp_path / "b.md").unlink()
    where = "  line 1 of the file: # A, edited by hand\n  the code says: # A"
    assert out_of_date(tmp_path, PAGES) == [
        f"{tmp_path / 'a.md'}: the page differs from the code; to renew it, run `make generate`\n{where}",
        f"{tmp_path / 'b.md'}: the page is missing; to write it, run `make generate`",
    ]


def test_only_pages_that_differ_are_written(tmp_path: Path) -> None:
    assert [path.name for path in write(tmp_path / "new", PAGES)] == ["a.md", "b.md"]
    assert out_of_date(tmp_path / "new", PAGES) == []
    (tmp_path / "new" / "b.md").write_text("other\n")
    assert [path.name for path in write(tmp_path / "new", PAGES)] == ["b.md"]
