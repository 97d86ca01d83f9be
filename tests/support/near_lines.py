"""Lines of the named formats, or nearly so, and ways to count them: strategies for hypothesis."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from spark_job.parse import UrlRule
from tests.support.access_lines import apache_time, hosts, moments, plain_texts, requests, sizes, statuses, users
from tests.support.line_counts import Question

if TYPE_CHECKING:
    import random

NAMED = ("common", "combined", "vhost_combined")
STRICT_COMBINED = '%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"'
FORMATS = (*NAMED, STRICT_COMBINED)

PIECES = (
    *(
        b'"',
        b"\\",
        b" ",
        b"  ",
        b"[",
        b"]",
        b"-",
        b"\r",
        b"\x00",
        b"\x7f",
        b"\t",
        b"\xc3\xa9",
        b"\xff",
        b"?",
        b"#",
        b":",
    ),
    *(b"+", b"/", b".", b"%7e", b"0", b"9", b"a", b"Z", b'" "', b'\\"', b" HTTP/1.1", b"http://a.example", b" - "),
    *(b"1234567890123456", b"Feb", b"29/", b":60", b"2016", b"24:", b"+2400", b"-0060", b"GET ", b"HTTP/2", b"99"),
)

questions = st.builds(
    Question,
    log_format=st.sampled_from(FORMATS),
    rule=st.sampled_from([str(rule) for rule in UrlRule]),
    pane=st.sampled_from([timedelta(microseconds=7), timedelta(seconds=90), timedelta(minutes=1), timedelta(hours=1)]),
    by_arrival=st.booleans(),
    timezone=st.sampled_from(["UTC", "Asia/Kolkata", "America/St_Johns"]),
)


def as_format(line: bytes, log_format: str) -> bytes:
    """Return a line of the combined format as one of another."""
    if log_format == "common":
        return line.rsplit(b' "', 2)[0]
    return b"www.example:443 " + line if log_format == "vhost_combined" else line


def spoil(line: bytes, rng: random.Random) -> bytes:
    """Return the line with something cut out, put in, or put in the place of something."""
    start = rng.randrange(len(line) + 1)
    stop = min(len(line), start + rng.choice((0, 0, 0, 1, 1, 2, 5, 200)))
    middle = rng.choice(PIECES) if rng.random() < 0.7 else bytes([rng.randrange(256)] * rng.randrange(2))
    return line[:start] + middle + line[stop:]


written = st.builds(
    lambda host, user, moment, request, status, size, referrer, agent: (
        f'{host} - {user} {apache_time(moment)} "{request}" {status} {size} "{referrer}" "{agent}"'.encode()
    ),
    hosts, users, moments, requests, statuses, sizes, plain_texts, plain_texts,
)  # fmt: skip


@st.composite
def near_lines(draw: st.DrawFn) -> bytes:
    """Return a line of the combined format, or nearly so."""
    line = draw(written)
    rng = draw(st.randoms(use_true_random=False))
    for _ in range(draw(st.integers(0, 2))):
        line = spoil(line, rng)
    return line
