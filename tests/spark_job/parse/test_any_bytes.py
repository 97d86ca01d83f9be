"""Properties that hold for every input: no exception, one row per line in order, the same row for any columns."""

from __future__ import annotations

from functools import cache

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_job.parse import SCHEMA, LineParser
from spark_job.parse.extract import LineExtractor
from spark_job.parse.formats import line_format
from tests.support.access_lines import bodies, combined, plain_texts, requests, users

FORMATS = ["common", "combined", "vhost_combined", "nginx_json", "%{%F %T}t\t%h\t%U%q\t%D", '%h "%r" %{sec}t "%u" x']

pieces = st.sampled_from(
    ['"', "\\", "\\x", " ", "[", "]", "-", "\r", "\x00", "é", "{", "}", ":", "200", "GET / HTTP/1.1"]
)
near_lines = st.one_of(
    st.builds(combined, requests, agent=plain_texts, referrer=plain_texts, user=users),
    st.builds(lambda text, agent: combined(text, agent=agent), st.text(), st.text()),
).map(str)


@st.composite
def spoiled(draw: st.DrawFn) -> bytes:
    """Return a line that is cut, or has something put into it."""
    line = draw(near_lines).encode("utf-8", "surrogatepass")
    place = draw(st.integers(0, len(line)))
    if draw(st.booleans()):
        return line[:place]
    return line[:place] + draw(st.one_of(pieces.map(str.encode), st.binary(max_size=3))) + line[place:]


lines = st.one_of(
    st.binary(max_size=60),
    near_lines.map(lambda line: line.encode("utf-8", "surrogatepass")),
    spoiled(),
    st.none(),
    st.lists(pieces, max_size=12).map(lambda parts: "".join(parts).encode()),
)


@cache
def parser_of(log_format: str) -> LineParser:
    return LineParser(log_format)


@pytest.mark.parametrize("log_format", FORMATS)
@settings(max_examples=25)
@given(st.lists(lines, max_size=8), st.integers(0, 8))
def test_each_line_gives_its_own_row(log_format: str, some: list[bytes | None], cut: int) -> None:
    parser = parser_of(log_format)
    parsed = parser.parse(bodies(*some))
    assert dict(parsed.schema) == SCHEMA
    assert len(parsed) == len(some)
    parts = [parser.parse(bodies(*reversed(part))).reverse() for part in (some[:cut], some[cut:])]
    assert parsed.equals(pl.concat(parts))
    malformed = parsed["error"].is_not_null()
    assert malformed.equals(parsed["raw"].is_not_null())
    for name in SCHEMA:
        if name not in ("raw", "error"):
            assert parsed[name].filter(malformed).null_count() == malformed.sum()
    assert parsed.filter(~malformed)["url"].null_count() == 0


@settings(max_examples=30)
@given(st.sampled_from(FORMATS), st.lists(lines, max_size=8), st.sets(st.sampled_from(list(SCHEMA))))
def test_asking_for_less_changes_nothing_of_the_rest(
    log_format: str, some: list[bytes | None], columns: set[str]
) -> None:
    parser = parser_of(log_format)
    whole, part = parser.parse(bodies(*some)), parser.parse(bodies(*some), columns)
    assert part.equals(whole.select(name for name in SCHEMA if name in columns))


@settings(max_examples=30)
@given(st.lists(near_lines, max_size=8))
def test_the_two_ways_of_reading_a_line_agree(some: list[str]) -> None:
    extractor = LineExtractor(line_format("combined"))
    series = bodies(*(line.encode("utf-8", "replace") for line in some)).cast(pl.String)
    roles = {"time", "host", "user", "request", "status", "bytes", "referrer", "agent"}
    both, whole = extractor.extract(series, roles), extractor._whole(series, roles)
    if whole.errors is None:
        assert both.errors is None
        assert both.texts.select(sorted(roles)).equals(whole.texts.select(sorted(roles)))
    else:
        assert both.errors is not None
        assert both.errors.equals(whole.errors)
        matched = whole.errors.is_null()
        assert (
            both.texts.select(sorted(roles)).filter(matched).equals(whole.texts.select(sorted(roles)).filter(matched))
        )
