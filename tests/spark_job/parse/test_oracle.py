"""Generated lines of several formats, compared with apachelogs."""

from __future__ import annotations

from typing import Any

import apachelogs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_job.parse import LineParser
from tests.support.access_lines import (
    apache_time,
    bodies,
    escaped,
    hosts,
    moments,
    quoted_texts,
    requests,
    sizes,
    statuses,
    users,
)

FORMATS = {
    "common": "common",
    "combined": "combined",
    "vhost_combined": "vhost_combined",
    "time last": '%h "%r" %>s %b "%{User-Agent}i" %D %t',
    "tabs": "%h\t%u\t%t\t%r\t%>s\t%b",
    "pieces of the request": '%h %t "%m" "%U" "%q" %H %>s %O',
}
TEXTS = {
    "common": apachelogs.COMMON,
    "combined": apachelogs.COMBINED,
    "vhost_combined": "%v:%p " + apachelogs.COMBINED,
}


@st.composite
def fields(draw: st.DrawFn) -> dict[str, str]:
    """Return the text of each directive as Apache writes it."""
    return {
        "%h": draw(hosts),
        "%l": "-",
        "%u": escaped(draw(users)),
        "%t": apache_time(draw(moments)),
        "%r": escaped(draw(requests)),
        "%>s": draw(statuses),
        "%b": draw(sizes),
        "%O": str(draw(st.integers(0, 10**9))),
        "%D": str(draw(st.integers(0, 10**9))),
        "%v": "www.example",
        "%p": "443",
        "%m": "GET",
        "%U": escaped("/" + draw(quoted_texts)),
        "%q": "?q",
        "%H": "HTTP/1.1",
        "%{Referer}i": escaped(draw(quoted_texts)),
        "%{User-Agent}i": escaped(draw(quoted_texts)),
    }


def line_of(text: str, values: dict[str, str]) -> str:
    # The longest names first, so that %s is not found in %>s.
    for name in sorted(values, key=len, reverse=True):
        text = text.replace(name, values[name].replace("%", "\0"))
    return text.replace("\0", "%")


def assert_same(ours: dict[str, Any], theirs: apachelogs.LogEntry) -> None:
    """Compare the columns that both have; the request line itself is ours to read."""
    directives = theirs.directives
    assert ours["time"] == theirs.request_time
    assert ours["host"] == theirs.remote_host
    assert ours["status"] == theirs.final_status
    for column, directive in (("user", "%u"), ("referrer", "%{Referer}i"), ("agent", "%{User-Agent}i")):
        if directive in directives:
            assert ours[column] == directives[directive]
    if "%b" in directives:
        assert ours["bytes"] == (directives["%b"] or 0)
    if "%O" in directives:
        assert ours["bytes"] == directives["%O"]
    if "%D" in directives:
        assert ours["duration"] == directives["%D"] / 1_000_000
    if "%m" in directives:
        assert (ours["method"], ours["protocol"]) == (directives["%m"], directives["%H"])
    if ours["protocol"] is not None and "%r" in directives:
        assert directives["%r"].startswith(ours["method"])
        assert directives["%r"].endswith(ours["protocol"])


@pytest.mark.parametrize("name", FORMATS)
def test_each_column_is_what_apachelogs_reads(name: str) -> None:
    log_format = FORMATS[name]
    text = TEXTS.get(name, log_format)
    oracle = apachelogs.LogParser(text, encoding="utf-8", errors="backslashreplace")
    parser = LineParser(log_format)

    @settings(max_examples=20)
    @given(st.lists(fields(), min_size=1, max_size=5))
    def agree(values: list[dict[str, str]]) -> None:
        lines = [line_of(text, value) for value in values]
        parsed = parser.parse(bodies(*lines))
        assert parsed["error"].to_list() == [None] * len(lines)
        for ours, line in zip(parsed.iter_rows(named=True), lines, strict=True):
            assert_same(ours, oracle.parse(line))

    agree()
