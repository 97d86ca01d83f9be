"""JSON lines: the known names, their types, and malformed lines."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_job.parse import LineParser, Reason
from tests.support.access_lines import bodies, row

AT = datetime(2015, 5, 17, 10, 5, 3, tzinfo=UTC)
USUAL = {"time_iso8601": "2015-05-17T10:05:03+00:00", "request": "GET /a?b HTTP/1.1", "status": 200}


def parsed(**fields: Any) -> dict[str, Any]:
    return row("nginx_json", json.dumps(USUAL | fields))


def test_a_line_with_every_field() -> None:
    record = {
        "msec": "1431857103.250",
        "remote_addr": "2001:db8::7",
        "remote_user": "frank",
        "request": "GET /a?b HTTP/2.0",
        "status": "404",
        "body_bytes_sent": "5",
        "http_referer": "http://from.example/",
        "http_user_agent": 'a "quoted" \\ name',
        "request_time": "0.025",
        "upstream": {"anything": [1, 2]},
    }
    assert row("nginx_json", json.dumps(record)) == {
        "time": AT.replace(microsecond=250_000),
        "host": "2001:db8::7",
        "user": "frank",
        "method": "GET",
        "url": "/a",
        "path": "/a",
        "protocol": "HTTP/2.0",
        "status": 404,
        "bytes": 5,
        "referrer": "http://from.example/",
        "agent": 'a "quoted" \\ name',
        "duration": 0.025,
    }


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {"time": AT, "status": 200, "bytes": 0}),
        ({"status": "304", "bytes_sent": 7}, {"status": 304, "bytes": 7}),
        ({"body_bytes_sent": 5, "bytes_sent": 7}, {"bytes": 5}),
        ({"body_bytes_sent": "", "bytes_sent": 7}, {"bytes": 7}),
        ({"time_iso8601": "2015-05-17T15:35:03+05:30"}, {"time": AT}),
        ({"time_iso8601": None, "time_local": "17/May/2015:06:35:03 -0330"}, {"time": AT}),
        ({"msec": 1431857104}, {"time": AT.replace(second=4)}),
        ({"msec": 1431857103.5}, {"time": AT.replace(microsecond=500_000)}),
        ({"request_time": 0.5}, {"duration": 0.5}),
        ({"request_time": "-"}, {"duration": None}),
        ({"remote_user": "-", "http_referer": "-"}, {"user": None, "referrer": None}),
        ({"request": "", "request_method": "GET", "request_uri": "/x?y"}, {"url": "/x", "method": "GET"}),
        ({"request": None, "method": "GET", "uri": "/x", "args": "y", "protocol": "HTTP/3"}, {"protocol": "HTTP/3"}),
        ({"request": None, "method": "GET", "uri": "/x?y", "args": "y"}, {"url": "/x"}),
        ({"request": "-"}, {"url": "-", "method": None}),
        ({"http_user_agent": "\ud800x"}, {"agent": "?x"}),
        ({"http_user_agent": "été"}, {"agent": "été"}),
    ],
)
def test_it_is_parsed(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    found = parsed(**fields)
    assert "error" not in found
    assert {name: found.get(name) for name in expected} == expected


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", Reason.EMPTY),
        ("\r", Reason.EMPTY),
        ("{", Reason.NOT_JSON),
        ("[1]", Reason.NOT_JSON),
        ("null", Reason.NOT_JSON),
        ('{"status": 200} {}', Reason.NOT_JSON),
        (json.dumps(USUAL)[:-1], Reason.NOT_JSON),
        ("[" * 100_000, Reason.NOT_JSON),
        ('{"status": ' + "9" * 5000 + "}", Reason.NOT_JSON),
        ("{}", Reason.MISSING),
        (json.dumps({"request": "GET / HTTP/1.1"}), Reason.MISSING),
        (json.dumps(USUAL | {"request": None}), Reason.MISSING),
        (json.dumps(USUAL | {"request": None, "method": "GET"}), Reason.MISSING),
        (json.dumps(USUAL | {"status": 20}), Reason.WRONG_TYPE),
        (json.dumps(USUAL | {"status": True}), Reason.WRONG_TYPE),
        (json.dumps(USUAL | {"bytes_sent": 1.5}), Reason.WRONG_TYPE),
        (json.dumps(USUAL | {"request_time": "fast"}), Reason.WRONG_TYPE),
        (json.dumps(USUAL | {"http_user_agent": ["a"]}), Reason.WRONG_TYPE),
        (json.dumps(USUAL | {"time_iso8601": "yesterday"}), Reason.NO_SUCH_TIME),
        (json.dumps(USUAL | {"msec": 1e22}), Reason.NO_SUCH_TIME),
        (json.dumps(USUAL | {"request": "\x16\x03\x01"}), Reason.NOT_HTTP),
    ],
)
def test_it_is_malformed(line: str, reason: Reason) -> None:
    assert row("nginx_json", line) == {"error": str(reason), "raw": line[: 64 * 1024].rstrip("\r")}


def test_a_line_of_two_values_does_not_move_the_others() -> None:
    usual = json.dumps(USUAL)
    found = LineParser("nginx_json").parse(bodies(usual, f"{usual},{usual}", "", usual))
    assert found["url"].to_list() == ["/a", None, None, "/a"]


def test_a_field_of_the_wrong_type_is_malformed_whatever_is_asked() -> None:
    line = json.dumps(USUAL | {"http_user_agent": {}})
    assert LineParser("nginx_json").parse(bodies(line), ["url"])["url"].to_list() == [None]


@settings(max_examples=50)
@given(st.dictionaries(st.sampled_from(["http_user_agent", "http_referer", "remote_user"]), st.text(min_size=1)))
def test_any_text_is_read_back(fields: dict[str, str]) -> None:
    found = parsed(**fields)
    columns = {"http_user_agent": "agent", "http_referer": "referrer", "remote_user": "user"}
    for name, value in fields.items():
        if value not in ("-", '""'):
            assert found[columns[name]] == value.encode("utf-8", "replace").decode()
