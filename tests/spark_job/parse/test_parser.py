"""Nasty lines of the combined format, one by one: the row, or the reason why the line is malformed."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime

import pytest

from spark_job.parse import SCHEMA, LineParser, Reason
from spark_job.parse.schema import MAX_RAW_BYTES
from tests.support.access_lines import TIME, bodies, combined, row

AT = datetime(2015, 5, 17, 10, 5, 3, tzinfo=UTC)


def test_a_usual_line_fills_every_column_that_the_format_has() -> None:
    line = f'192.0.2.7 - frank {TIME} "GET /a?b HTTP/1.1" 404 1234 "http://from.example/" "curl/8 (x; y)"'
    assert row("combined", line, url="full") == {
        "time": AT,
        "host": "192.0.2.7",
        "user": "frank",
        "method": "GET",
        "url": "/a?b",
        "path": "/a",
        "protocol": "HTTP/1.1",
        "status": 404,
        "bytes": 1234,
        "referrer": "http://from.example/",
        "agent": "curl/8 (x; y)",
    }


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param(combined(agent=r"a \"quoted\" name"), {"agent": 'a "quoted" name'}, id="escaped quotes"),
        pytest.param(combined(agent=r"a\tb\\c"), {"agent": "a\tb\\c"}, id="escaped tab and backslash"),
        pytest.param(combined(agent=r"ends in a backslash\\"), {"agent": "ends in a backslash\\"}, id="backslash last"),
        pytest.param(combined(agent=r"\xc3\xa9t\xC3\xA9"), {"agent": "été"}, id="UTF-8 in hex"),
        pytest.param(combined(agent=r"\xe9"), {"agent": r"\xe9"}, id="Latin-1 in hex stays"),
        pytest.param(combined(agent=r"\q \x4"), {"agent": "q x4"}, id="no such escape"),
        pytest.param(combined(agent=""), {"agent": ""}, id="empty agent"),
        pytest.param(combined(agent="été"), {"agent": "été"}, id="UTF-8 as it is"),
        pytest.param(combined(agent="a\tb"), {"agent": "a\tb"}, id="tab as it is"),
        pytest.param(combined(agent="[a] - b"), {"agent": "[a] - b"}, id="brackets in a quoted field"),
        pytest.param(combined(referrer="a b"), {"referrer": "a b"}, id="blank in the referrer"),
        pytest.param(combined(user="frank zappa"), {"user": "frank zappa"}, id="blank in the user"),
        pytest.param(combined(user='""'), {"user": ""}, id="empty user"),
        pytest.param(combined(user="a [b"), {"user": "a [b"}, id="a bracket in the user"),
        pytest.param(combined(user="a [b]"), {"user": "a [b]"}, id="brackets in the user"),
        pytest.param(combined(user=r"say \"hi\""), {"user": 'say "hi"'}, id="quotes in the user"),
        pytest.param(combined() + "\r", {"agent": "curl/8"}, id="carriage return"),
        pytest.param(combined() + ' "10.0.0.1" 0.003', {"agent": "curl/8"}, id="more fields"),
        pytest.param(combined() + ' "10.0.0.1"\r', {"agent": "curl/8"}, id="more fields and carriage return"),
        pytest.param(combined(agent=r"\"x\"") + " 0.003", {"agent": '"x"'}, id="more fields after escapes"),
        pytest.param(combined(r"GET /a\"b HTTP/1.1"), {"url": '/a"b', "method": "GET"}, id="quote in the URL"),
        pytest.param(combined(r"GET /\xc3\xa9 HTTP/1.1"), {"url": "/é"}, id="UTF-8 in the URL"),
        pytest.param(combined("-"), {"url": "-", "path": "-"}, id="no request"),
        pytest.param(combined().replace("192.0.2.7", "2001:db8::7"), {"host": "2001:db8::7"}, id="IPv6"),
        pytest.param(combined().replace("192.0.2.7", "a.example"), {"host": "a.example"}, id="host name"),
        pytest.param(combined().replace("192.0.2.7", "bücher.example"), {"host": "bücher.example"}, id="IDN"),
        pytest.param(combined().replace(" 200 5 ", " 304 - "), {"status": 304, "bytes": 0}, id="no body"),
        pytest.param(combined().replace(" 5 ", f" {10**17} "), {"bytes": 10**17}, id="many bytes"),
        pytest.param(b"\xff" + combined().encode(), {"host": "\ufffd192.0.2.7"}, id="not UTF-8"),
        pytest.param(combined().replace(" 200 ", " 204 "), {"status": 204}, id="status"),
    ],
)
def test_it_is_parsed(line: bytes | str, expected: dict[str, object]) -> None:
    parsed = row("combined", line)
    assert "error" not in parsed
    assert parsed["time"] == AT
    assert {name: parsed[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        pytest.param(None, Reason.EMPTY, id="null"),
        pytest.param("", Reason.EMPTY, id="empty"),
        pytest.param("\r", Reason.EMPTY, id="carriage return alone"),
        pytest.param("x\r", Reason.NO_MATCH, id="carriage return"),
        pytest.param(" ", Reason.NO_MATCH, id="blank"),
        pytest.param("hello world", Reason.NO_MATCH, id="prose"),
        pytest.param(b"\x00\xff\xfe", Reason.NO_MATCH, id="binary"),
        pytest.param(combined()[:-1], Reason.OPEN_QUOTE, id="cut before the last quote"),
        pytest.param(combined(agent=r"ends in \""[:-1] + '"')[:-1], Reason.OPEN_QUOTE, id="cut after an escaped quote"),
        pytest.param(combined(agent="x\\")[:-1], Reason.OPEN_QUOTE, id="cut within an escape"),
        pytest.param(combined()[:50], Reason.OPEN_QUOTE, id="cut in the request"),
        pytest.param(combined()[:30], Reason.NO_MATCH, id="cut in the time"),
        pytest.param(combined().rsplit(' "', 1)[0], Reason.NO_MATCH, id="no agent"),
        pytest.param(combined(agent='a "b" c'), Reason.NO_MATCH, id="quotes not escaped"),
        pytest.param(combined() + '"', Reason.OPEN_QUOTE, id="a quote too many"),
        pytest.param(combined() + '""', Reason.NO_MATCH, id="two quotes too many"),
        pytest.param(combined() + combined(), Reason.NO_MATCH, id="two lines in one"),
        pytest.param(combined().replace("[", "").replace("]", ""), Reason.NO_MATCH, id="time without brackets"),
        pytest.param(combined().replace(" 200 ", " 20 "), Reason.NO_MATCH, id="status of two digits"),
        pytest.param(combined().replace(" 5 ", " 5k "), Reason.NO_MATCH, id="bytes not a number"),
        pytest.param(combined().replace(" 5 ", f" {10**18} "), Reason.NO_MATCH, id="bytes beyond 64 bits"),
        pytest.param(combined().replace("17/May", "31/Feb"), Reason.NO_SUCH_TIME, id="31 February"),
        pytest.param(combined().replace("17/May", "17/Mai"), Reason.NO_SUCH_TIME, id="month in French"),
        pytest.param(combined().replace(TIME, "[]"), Reason.NO_SUCH_TIME, id="no time"),
        pytest.param(combined().replace("192.0.2.7 - - ", ""), Reason.NO_MATCH, id="time first"),
        pytest.param(combined(r"\x16\x03\x01\x02"), Reason.NOT_HTTP, id="TLS"),
        pytest.param(combined(""), Reason.NOT_HTTP, id="empty request"),
    ],
)
def test_it_is_malformed(line: bytes | str | None, reason: Reason) -> None:
    parsed = row("combined", line)
    text = line.decode("utf-8", "replace") if isinstance(line, bytes) else line or ""
    assert parsed == {"error": str(reason), "raw": text.rstrip("\r")}


def test_a_malformed_line_between_good_ones_clears_its_own_row_only() -> None:
    parsed = LineParser("combined").parse(bodies(combined(), "x", combined(agent=r"\"")))
    assert parsed["error"].to_list() == [None, Reason.NO_MATCH, None]
    assert parsed["agent"].to_list() == ["curl/8", None, '"']
    assert parsed["raw"].to_list() == [None, "x", None]


def test_what_is_kept_of_a_line_is_bounded_at_a_whole_character() -> None:
    parsed = row("combined", "é" * MAX_RAW_BYTES)
    assert parsed["raw"] == "é" * (MAX_RAW_BYTES // 2)
    assert len(row("combined", "x" + "é" * MAX_RAW_BYTES)["raw"].encode()) == MAX_RAW_BYTES - 1


def test_only_the_rows_that_are_not_utf8_are_changed_by_decoding() -> None:
    lines = [combined(agent=f"n{number} é") for number in range(300)]
    encoded: list[bytes | str | None] = [
        line.encode("latin-1") if number == 217 else line for number, line in enumerate(lines)
    ]
    parsed = LineParser("combined").parse(bodies(*encoded))
    expected = [f"n{number} é" for number in range(300)]
    expected[217] = "n217 \ufffd"
    assert parsed["agent"].to_list() == expected


def test_a_log_with_carriage_returns_is_parsed_like_one_without() -> None:
    lines = [combined(f"GET /{number} HTTP/1.1") for number in range(5)]
    parser = LineParser("combined")
    assert parser.parse(bodies(*(line + "\r" for line in lines))).equals(parser.parse(bodies(*lines)))


def test_no_lines_are_no_rows_with_the_same_columns() -> None:
    parsed = LineParser("combined").parse(bodies())
    assert dict(parsed.schema) == SCHEMA
    assert len(parsed) == 0


def test_a_parser_that_was_sent_to_another_process_parses_the_same() -> None:
    parser = pickle.loads(pickle.dumps(LineParser("combined", url="template")))  # noqa: S301 -- as Spark does
    assert parser.parse(bodies(combined("GET /a/1 HTTP/1.1")))["url"].to_list() == ["/a/{n}"]


def test_columns_come_in_the_order_of_the_schema_and_unknown_ones_are_refused() -> None:
    parser = LineParser("combined")
    assert parser.parse(bodies(combined()), ["url", "time"]).columns == ["time", "url"]
    with pytest.raises(ValueError, match=r"no such column of a parsed log: size"):
        parser.parse(bodies(combined()), ["size"])
