"""Both ways of taking fields out of lines agree: cut at the quotes, and the expression of the whole line."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_job.parse.extract import LineExtractor
from spark_job.parse.formats import line_format
from spark_job.parse.schema import Reason
from tests.support.access_lines import combined

ROLES = {"host", "user", "time", "request", "status", "bytes", "referrer", "agent"}
FORMAT = line_format("combined")
PIECES = ['"', "\\", '\\"', " ", "-", "[", "]", "é", "200 5", '" "', "GET / HTTP/1.1", "\r", "x"]


@given(st.lists(st.sampled_from([combined(), *PIECES]), max_size=8).map("".join) | st.just(combined()))
def test_the_plain_way_takes_a_line_only_as_the_whole_way_does(line: str) -> None:
    extractor = LineExtractor(FORMAT)
    lines = pl.Series([line])
    texts, matched = extractor._plain(lines, ROLES)
    whole = extractor._whole(lines, ROLES)
    if matched.item():
        assert whole.errors is None
        assert texts.select(sorted(ROLES)).equals(whole.texts.select(sorted(ROLES)))


def test_lines_of_both_ways_keep_their_order() -> None:
    lines = [combined("GET /a HTTP/1.1"), combined(r"GET /\"b\" HTTP/1.1"), "x", combined("GET /c HTTP/1.1")]
    found = LineExtractor(FORMAT).extract(pl.Series(lines), {"request", "status"})
    requests = ["GET /a HTTP/1.1", 'GET /"b" HTTP/1.1', "GET /c HTTP/1.1"]
    assert found.texts["request"].gather([0, 1, 3]).to_list() == requests
    assert found.errors is not None
    assert found.errors.to_list() == [None, None, str(Reason.NO_MATCH), None]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", Reason.EMPTY),
        ("\r", Reason.EMPTY),
        (combined()[:-1], Reason.OPEN_QUOTE),
        (combined()[:40], Reason.NO_MATCH),
        (r"a \" b", Reason.NO_MATCH),
        ('a "b" "c \\', Reason.OPEN_QUOTE),
    ],
)
def test_a_line_that_does_not_match_has_its_reason(line: str, reason: Reason) -> None:
    errors = LineExtractor(FORMAT).extract(pl.Series([line]), {"request"}).errors
    assert errors is not None
    assert errors.to_list() == [str(reason)]
