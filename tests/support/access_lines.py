"""Access-log lines for tests: one line parsed to a dict, and hypothesis strategies of lines that servers write."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import polars as pl
from hypothesis import strategies as st

from spark_job.parse import LineParser

TIME = "[17/May/2015:10:05:03 +0000]"
MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()  # noqa: SIM905 -- reads like a calendar


def bodies(*lines: bytes | str | None) -> pl.Series:
    """Return lines as the column that the parser takes."""
    encoded = [line.encode() if isinstance(line, str) else line for line in lines]
    return pl.Series("body", encoded, dtype=pl.Binary)


def row(log_format: str, line: bytes | str | None, **options: Any) -> dict[str, Any]:
    """Return what one line is parsed to, without the columns that are null."""
    parsed = LineParser(log_format, **options).parse(bodies(line)).row(0, named=True)
    return {name: value for name, value in parsed.items() if value is not None}


def combined(request: str = "GET / HTTP/1.1", *, agent: str = "curl/8", referrer: str = "-", user: str = "-") -> str:
    """Return a line of the combined format."""
    return f'192.0.2.7 - {user} {TIME} "{request}" 200 5 "{referrer}" "{agent}"'


def apache_time(moment: datetime) -> str:
    """Return the time as ``%t`` writes it, whatever the locale."""
    return moment.strftime(f"[%d/{MONTHS[moment.month - 1]}/%Y:%H:%M:%S %z]")


def escaped(text: str) -> str:
    """Return the text as Apache writes it between quotes."""
    names = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}
    return "".join(
        names.get(char) or (char if " " <= char <= "~" else "".join(f"\\x{byte:02x}" for byte in char.encode()))
        for char in text
    )


moments = st.builds(
    lambda naive, minutes: naive.replace(microsecond=0, tzinfo=timezone(timedelta(minutes=minutes))),
    st.datetimes(datetime(1970, 1, 2), datetime(2100, 12, 31)),  # noqa: DTZ001 -- the offset is drawn apart
    st.sampled_from([0, 60, -300, 330, -210, 345, 840, -720]),
)
quoted_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
plain_texts = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters='"\\'), max_size=40)
hosts = st.one_of(
    st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(str), st.from_regex(r"[a-z]{1,9}\.example", fullmatch=True)
)
users = st.sampled_from(["-", "frank", "frank zappa", "DOMAIN\\user", "a[b", "é"])
targets = st.one_of(
    st.from_regex(r"(/[A-Za-z0-9._~%-]{0,8}){1,4}(\?[a-z=&%0-9]{0,9})?", fullmatch=True),
    st.sampled_from(["*", "http://host.example/x?y", "/a b", '/quote"d', "/é", "/tab\there"]),
)
requests = st.one_of(
    st.builds(
        lambda method, target, version: f"{method} {target} HTTP/{version}",
        st.sampled_from(["GET", "POST", "HEAD", "OPTIONS", "PROPFIND"]),
        targets,
        st.sampled_from(["1.0", "1.1", "2.0", "3"]),
    ),
    st.sampled_from(["-", "GET /old", "CONNECT host.example:443 HTTP/1.1"]),
)
statuses = st.integers(100, 599).map(str)
sizes = st.one_of(st.just("-"), st.integers(0, 10**12).map(str))
