"""The reader of pages finds what a page has, and nothing else."""

from __future__ import annotations

import pytest

from tests.support.markdown import anchors, blocks, code_of, links, slug, spans, tables_under

EXAMPLE = """
# Title

## Settings

| key | default |
|---|---|
| `a.b` | `1` |
| `c` | `x\\|y` |

### Below

| key | default |
|---|---|
| `d` | `2` |

## Other

| key | default |
|---|---|
| `e` | `3` |

1. item

   ```sh
   # no heading [no](link)
   ```
"""


def test_a_table_is_read_up_to_the_next_heading_of_its_level() -> None:
    rows = tables_under("Settings", EXAMPLE)
    assert [(row["key"], row["default"]) for row in rows] == [("`a.b`", "`1`"), ("`c`", "`x|y`"), ("`d`", "`2`")]
    assert tables_under("Below", EXAMPLE) == [{"key": "`d`", "default": "`2`"}]


def test_code_is_found_in_spans_and_blocks() -> None:
    text = "Use `make demo`.\n\n```sh\nheadrace run\n```\n\nNot make believe.\n"
    assert code_of(text).splitlines() == ["headrace run", "", "make demo"]
    assert spans(text) == ["make demo"]
    assert blocks(text, "sh") == ["headrace run\n"]
    assert blocks(text, "python") == []


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("What is promised", "what-is-promised"),
        ("`run --once`, again", "run---once-again"),
        ("`[listen.tls]` and more", "listentls-and-more"),
        ("`drain_timeout_s`", "drain_timeout_s"),
    ],
)
def test_anchors_are_those_of_the_renderer(heading: str, anchor: str) -> None:
    assert slug(heading) == anchor


def test_a_heading_that_occurs_twice_has_a_number_and_code_has_no_headings() -> None:
    assert anchors("# A\n\n## B\n\n## B\n") == {"a", "b", "b-1"}
    assert anchors(EXAMPLE) == {"title", "settings", "below", "other"}


def test_links_in_code_and_links_to_the_web_are_left_out() -> None:
    assert links(f"[a](b.md#c) [d](https://example.org) {EXAMPLE}") == ["b.md#c"]
