"""Request lines: each row of the table at the module's head."""

from __future__ import annotations

import polars as pl
import pytest

from spark_job.parse import Reason
from spark_job.parse.requests import split_requests
from tests.support.access_lines import combined, row


@pytest.mark.parametrize(
    ("request_line", "method", "url", "protocol"),
    [
        ("GET /a?b HTTP/1.1", "GET", "/a", "HTTP/1.1"),
        ("GET /a HTTP/2", "GET", "/a", "HTTP/2"),
        ("GET /a HTTP/2.0", "GET", "/a", "HTTP/2.0"),
        ("PROPFIND /dav/ HTTP/1.1", "PROPFIND", "/dav/", "HTTP/1.1"),
        ("get /a HTTP/1.1", "get", "/a", "HTTP/1.1"),
        ("M-SEARCH * HTTP/1.1", "M-SEARCH", "*", "HTTP/1.1"),
        ("GET http://host.example/a?b HTTP/1.1", "GET", "/a", "HTTP/1.1"),
        ("GET http://host.example HTTP/1.1", "GET", "/", "HTTP/1.1"),
        ("GET https://u:p@[2001:db8::7]:8443/a#b HTTP/1.1", "GET", "/a", "HTTP/1.1"),
        ("CONNECT host.example:443 HTTP/1.1", "CONNECT", "host.example:443", "HTTP/1.1"),
        ("OPTIONS * HTTP/1.0", "OPTIONS", "*", "HTTP/1.0"),
        ("GET /a b HTTP/1.1", "GET", "/a b", "HTTP/1.1"),
        ("GET  /a  HTTP/1.1 ", "GET", "/a", "HTTP/1.1"),
        ("GET a HTTP/1.1", "GET", "a", "HTTP/1.1"),
        ("GET /HTTP/1.1", "GET", "/HTTP/1.1", None),
        ("GET /a", "GET", "/a", None),
        ("GET /a b", "GET", "/a b", None),
        ("GET http://host.example/a", "GET", "/a", None),
        ("OPTIONS *", "OPTIONS", "*", None),
        ("OPTIONS / RTSP/1.0", "OPTIONS", "/", "RTSP/1.0"),
        ("-", None, "-", None),
    ],
)
def test_it_is_counted(request_line: str, method: str | None, url: str, protocol: str | None) -> None:
    parsed = row("combined", combined(request_line))
    assert (parsed.get("method"), parsed["url"], parsed.get("protocol")) == (method, url, protocol)


@pytest.mark.parametrize(
    "request_line",
    [
        "",
        " ",
        "GET",
        "GET ",
        "GET HTTP/1.1",
        "get /a",
        "hello world",
        "--",
        r"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        r"\x03\x00\x00/*\xe0\x00\x00\x00\x00\x00Cookie: mstshash=Administr",
        r"\x00",
        r"\n",
        "SSH-2.0-Go",
        "{} / HTTP/1.1",
    ],
)
def test_it_is_malformed(request_line: str) -> None:
    line = combined(request_line)
    assert row("combined", line) == {"error": str(Reason.NOT_HTTP), "raw": line}


def test_a_request_without_text_is_no_request() -> None:
    split = split_requests(pl.Series([None, "GET / HTTP/1.1"], dtype=pl.String))
    assert split["target"].to_list() == [None, "/"]
