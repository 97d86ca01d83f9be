"""Rows of any columns, as lines of JSON and as a text table."""

from __future__ import annotations

import io
import json
import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from spark_job.sinks.rows import NUMBERS_TABLE_WIDTH, TABLE_WIDTH, WIDEST_CELL, RowsConsole, RowsFile, json_line

if TYPE_CHECKING:
    from pathlib import Path

KATHMANDU = timezone(timedelta(hours=5, minutes=45))
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), plain, max_size=5))
def test_json_of_any_text_is_one_line_of_ascii_and_reads_back(row: dict[str, Any]) -> None:
    line = json_line(row)
    assert line.isascii()
    assert line.splitlines() == [line[:-1]]
    assert json.loads(line) == row


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (math.nan, None),
        (-math.inf, None),
        (NOON, "2026-07-01T12:00:00Z"),
        (NOON.astimezone(KATHMANDU), "2026-07-01T12:00:00Z"),
        (datetime(2026, 7, 1, 12, 0, 0, 5), "2026-07-01T12:00:00.000005Z"),  # noqa: DTZ001 - Spark's are in UTC
        (date(2026, 7, 1), "2026-07-01"),
        (timedelta(minutes=1, milliseconds=250), 60.25),
        (Decimal("0.10"), "0.10"),
        (b"\xffabc", "\ufffdabc"),
        ((1, math.inf), [1, None]),
        ({"start": NOON, 7: [math.nan]}, {"start": "2026-07-01T12:00:00Z", "7": [None]}),
        (KATHMANDU, "UTC+05:45"),
    ],
)
def test_json_has_a_form_for_every_value_of_spark(value: object, written: object) -> None:
    assert json.loads(json_line({"value": value})) == {"value": written}


def test_a_file_of_rows_follows_the_table(tmp_path: Path) -> None:
    rows = [{"at": NOON, "n": 1}]
    file = RowsFile(tmp_path / "rows.jsonl", lambda: rows, lambda: 0.0)
    file.write_if_due()
    rows.append({"at": NOON + timedelta(hours=1), "n": 2})
    file.mark_changed()
    file.close()
    assert (tmp_path / "rows.jsonl").read_bytes() == (
        b'{"at": "2026-07-01T12:00:00Z", "n": 1}\n{"at": "2026-07-01T13:00:00Z", "n": 2}\n'
    )


def shown(rows: list[dict[str, Any]], total: int | None = None, top: int = 10) -> list[str]:
    stream = io.StringIO()
    RowsConsole(top, stream).show(rows, len(rows) if total is None else total, "the footer")
    assert stream.getvalue().endswith("\nthe footer\n\n") or stream.getvalue() == "the footer\n\n"
    return stream.getvalue().splitlines()[:-2]


def test_the_table_has_aligned_columns_and_says_how_many_rows_it_leaves_out() -> None:
    rows = [{"action": "buy", "count": 12}, {"action": "look around", "count": 3}, {"action": "no", "count": 1}]
    assert shown(rows, total=1_234, top=2) == [
        "action       count",
        "buy          12",
        "look around  3",
        "and 1,232 more rows",
    ]


def test_without_rows_only_the_footer_is_printed() -> None:
    assert shown([]) == []


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (None, "-"),
        (NOON.astimezone(KATHMANDU), "2026-07-01 12:00:00"),
        (datetime(2026, 7, 1, 12, 0, 0, 999_999), "2026-07-01 12:00:00"),  # noqa: DTZ001 - Spark's are in UTC
        (1 / 3, "0.333333"),
        (1e9, "1e+09"),
        (True, "true"),
        ([1, None], "[1, null]"),
        ({"start": NOON}, '{"start": "2026-07-01T12:00:00Z"}'),
        (Decimal("1.50"), "1.50"),
        ("/a\x1b[2J\n", "/a\\x1b[2J\\n"),
        (b"raw", "raw"),
    ],
)
def test_each_value_has_a_form_for_people(value: object, cell: str) -> None:
    assert shown([{"v": value}])[1] == cell


@given(st.lists(st.text(max_size=200), min_size=1, max_size=5))
def test_any_text_stays_in_its_line_and_within_the_width(texts: list[str]) -> None:
    row: dict[str, Any] = {f"column {number}": text for number, text in enumerate(texts)}
    lines = shown([row])
    assert len(lines) == 2
    assert all(cell_len(line) <= TABLE_WIDTH for line in lines)
    assert cell_len(shown([{"only": texts[0]}])[1]) <= WIDEST_CELL


def test_titled_results_have_their_numbers_first_and_an_empty_one_is_printed_after_one_with_rows_only() -> None:
    stream = io.StringIO()
    console = RowsConsole(1, stream, numbers=("hits",))
    row = {"url": "/a", "hits": 1234}
    for title, rows in (("1", []), ("2", [row, row]), ("3", []), ("4", []), ("5", [row])):
        console.show(rows, len(rows), title=title)
    assert stream.getvalue() == (
        "2   2 rows\n        hits  url\n       1,234  /a\n\n"
        "3   0 rows\n\n"
        "5   1 row\n        hits  url\n       1,234  /a\n\n"
    )


def test_text_behind_the_numbers_is_harmless_and_within_the_width() -> None:
    stream = io.StringIO()
    console = RowsConsole(3, stream, numbers=("status", "hits"))
    console.show([{"visitor": "\x1b[2J" + "x" * 500, "status": 200, "hits": 1}], 1, title="now")
    assert "\x1b" not in stream.getvalue()
    assert max(len(text) for text in stream.getvalue().splitlines()) == NUMBERS_TABLE_WIDTH


def test_instants_behind_the_numbers_keep_their_milliseconds() -> None:
    stream = io.StringIO()
    half_past = NOON + timedelta(milliseconds=500)
    rows = [{"batch": instant, "lines": 3} for instant in (NOON, half_past)]
    RowsConsole(3, stream, numbers=("lines",)).show(rows, 2, title="now")
    assert [text[14:] for text in stream.getvalue().splitlines()[2:4]] == [
        "2026-07-01 12:00:00",
        "2026-07-01 12:00:00.500",
    ]
