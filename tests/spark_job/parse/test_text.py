"""Decoding, escapes and distinct values, each compared with a simple implementation."""

from __future__ import annotations

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_job.parse.text import Distinct, decode, unescape, unescape_column
from tests.support.access_lines import escaped


@settings(max_examples=50)
@given(st.lists(st.none() | st.binary(max_size=9) | st.text(max_size=9).map(str.encode), max_size=300))
def test_decoding_a_column_is_decoding_each_row(rows: list[bytes | None]) -> None:
    texts = decode(pl.Series("line", rows, dtype=pl.Binary))
    assert texts.name == "line"
    assert texts.to_list() == [None if row is None else row.decode("utf-8", "replace") for row in rows]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_what_apache_escapes_is_read_back(text: str) -> None:
    assert unescape(escaped(text)) == text


@given(st.lists(st.none() | st.text(st.sampled_from('\\x41"nb é'), max_size=6)))
def test_a_column_is_unescaped_row_by_row(rows: list[str | None]) -> None:
    column = pl.Series("agent", rows, dtype=pl.String)
    plain = unescape_column(column)
    assert plain.name == "agent"
    assert plain.to_list() == [None if row is None else unescape(row) for row in rows]


@given(st.lists(st.none() | st.text(st.sampled_from("ab"), max_size=2)))
def test_distinct_values_spread_to_the_column_they_came_from(rows: list[str | None]) -> None:
    distinct = Distinct.of(pl.Series(rows, dtype=pl.String))
    assert distinct.values.is_unique().all()
    assert distinct.apply(lambda values: values.to_frame("value"))["value"].to_list() == [row or "" for row in rows]
