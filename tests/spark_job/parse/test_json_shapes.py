"""JSON lines read by their shapes give exactly what the standard library gives line by line."""

from __future__ import annotations

import json
import random
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_job.parse import LineParser, nginx_json
from spark_job.parse.json_shapes import MAX_NAMES, JsonShape
from tests.support.access_lines import apache_time, bodies, moments, requests

KNOWN = sorted(nginx_json._ASKED)
USUAL = {
    "time_iso8601": "2015-05-17T10:05:03+00:00",
    "remote_addr": "2001:db8::7",
    "request": "GET /a?b HTTP/1.1",
    "status": 200,
    "body_bytes_sent": 5,
    "request_time": 0.25,
    "upstream": None,
    "http_user_agent": "curl/8 (x; y)",
}
PIECES = (
    *('"', "\\", ",", ":", "{", "}", "[", "]", "null", "true", "NaN", "-", "-0", "0", "00", "1.", "1.50", "1e5", ".5"),
    *(
        " ",
        "\t",
        "\r",
        "\n",
        "\x00",
        "\x7f",
        "é",
        '"status"',
        '"status": 404, ',
        '"request": "", ',
        "12345678901",
        "{}",
    ),
)

values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-10, 10**19),
    st.sampled_from(
        ["", "-", "200", "404", "0.120", 0.0, -0.0, 0.5, 1.0, 0.0001, 0.00001, 100.25, 1e22, 1431857103.25]
    ),
    st.floats(allow_nan=False),
    st.text(max_size=5),
    requests,
    moments.map(lambda moment: moment.isoformat()),
    moments.map(lambda moment: apache_time(moment)[1:-1]),
    st.lists(st.none(), max_size=2),
)
names = st.one_of(st.sampled_from(KNOWN), st.text(max_size=3))


@st.composite
def texts_of_one_server(draw: st.DrawFn) -> list[str]:
    """Return lines with the same names, most of the time, some of them spoiled."""
    order = draw(st.lists(names, max_size=8))
    separators = draw(st.sampled_from([(", ", ": "), (",", ":"), (" ,\t", " :\n ")]))
    rng = draw(st.randoms(use_true_random=False))
    lines = []
    for _ in range(draw(st.integers(0, 8))):
        named = [(json.dumps(name, ensure_ascii=False), draw(values)) for name in order]
        ascii_only = draw(st.booleans())
        members = [f"{name}{separators[1]}{json.dumps(value, ensure_ascii=ascii_only)}" for name, value in named]
        line = "{" + separators[0].join(members) + "}"
        lines.append(spoil(line, rng) if draw(st.integers(0, 3)) == 0 else line)
    return lines


def spoil(line: str, rng: random.Random) -> str:
    start = rng.randrange(len(line) + 1)
    stop = min(len(line), start + rng.choice((0, 0, 0, 1, 2, 30)))
    return line[:start] + rng.choice(PIECES) + line[stop:]


def series(lines: list[str]) -> pl.Series:
    return pl.Series([line.encode("utf-8", "replace").decode() for line in lines], dtype=pl.String)


def one_by_one(lines: pl.Series) -> pl.DataFrame:
    return pl.DataFrame([nginx_json._texts(line) for line in lines], schema=nginx_json._SCHEMA, orient="row")


def assert_same(lines: pl.Series) -> None:
    expected, found = one_by_one(lines), nginx_json._by_shape(lines)
    # Where a line is malformed its texts do not count.
    assert found["error"].equals(expected["error"])
    parsed = expected["error"].is_null()
    assert found.filter(parsed).equals(expected.filter(parsed))


@settings(max_examples=150)
@given(st.lists(texts_of_one_server(), max_size=6), st.randoms(use_true_random=False))
def test_any_lines_are_read_as_one_by_one(servers: list[list[str]], rng: random.Random) -> None:
    lines = [line for some in servers for line in some]
    rng.shuffle(lines)
    assert_same(series(lines))


def test_spoiled_lines_are_read_as_one_by_one() -> None:
    rng = random.Random(7)  # noqa: S311 -- a test must be repeatable
    usual = json.dumps(USUAL)
    spoiled = [spoil(usual, rng) for _ in range(20_000)]
    assert_same(series(spoiled))


@pytest.mark.parametrize(
    "number", ["0", "7", "9999999999", "0.0", "0.000", "0.120", "0.0001", "100.0", "1431857103.250"]
)
def test_a_number_has_the_text_that_python_gives_it(number: str) -> None:
    line = f'{{"bytes": {number}}}'
    shape = JsonShape.of(line, {"bytes"})
    assert shape is not None
    texts, matched = shape.read(series([line, "x", '{"bytes": "0.120"}', '{"bytes": null}', '{"bytes":""}']))
    assert texts["bytes"].to_list() == [str(json.loads(number)), "0.120", None, ""]
    assert matched.to_list() == [0, 2, 3, 4]


@pytest.mark.parametrize(
    "value",
    [
        "-1",
        "-0",
        "00",
        "1.",
        ".5",
        "1e5",
        "0.00001",
        "12345678901",
        "true",
        "NaN",
        "[]",
        "{}",
        '"\\u0041"',
        '"é"',
        '"\t"',
    ],
)
def test_other_values_are_left(value: str) -> None:
    shape = JsonShape.of('{"bytes": 1}', {"bytes"})
    assert shape is not None
    texts, matched = shape.read(series([f'{{"bytes": {value}}}']))
    assert (len(texts), len(matched)) == (0, 0)


def test_of_a_name_that_is_there_twice_the_last_holds() -> None:
    line = '{"status": 200, "x": true, "status": 404}'
    shape = JsonShape.of(line, {"status"})
    assert shape is not None
    assert shape.names == ("status",)
    assert shape.read(series([line]))[0]["status"].to_list() == ["404"]


@pytest.mark.parametrize(
    "line",
    [
        None, "", "{", "{}", "[]", "1", "[" * 100_000, '{"a": []}', '{"a": "é"}', '{"\\u0061": 1}', '{"a": 1} {}',
        json.dumps({str(number): 1 for number in range(MAX_NAMES + 1)}), json.dumps({"a" * 5000: 1}), '{"b": 1}',
    ],
)  # fmt: skip
def test_a_line_without_a_shape(line: str | None) -> None:
    assert JsonShape.of(line, {"a"}) is None


def test_a_name_may_hold_what_expressions_use() -> None:
    line = json.dumps({"a.b*c [d]|$e": "f", "# &&~ \u00e9": 1}, ensure_ascii=False)
    shape = JsonShape.of(line, {"a.b*c [d]|$e"})
    assert shape is not None
    assert shape.read(series([line]))[0].to_dicts() == [{"a.b*c [d]|$e": "f"}]


def test_lines_of_many_shapes_come_out_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[Any] = []
    for number in range(200):
        record = dict(list(USUAL.items())[number % 7 :] + list(USUAL.items())[: number % 7])
        record["body_bytes_sent"] = number
        lines.append("x" if number % 11 == 0 else json.dumps(record))
    parser = LineParser("nginx_json")
    by_shape = parser.parse(bodies(*lines))
    monkeypatch.setattr(nginx_json, "MAX_SHAPES", 0)
    assert by_shape.equals(parser.parse(bodies(*lines)))
    assert by_shape["bytes"].drop_nulls().to_list() == [number for number in range(200) if number % 11]


@pytest.mark.parametrize(
    ("parts", "joined"),
    [
        ({"request_method": "GET", "request_uri": "/x"}, "GET /x"),
        ({"request_method": "GET", "request_uri": "/x", "args": "y"}, "GET /x?y"),
        ({"method": "GET", "uri": "/x?z", "args": "y", "protocol": "HTTP/3"}, "GET /x?z HTTP/3"),
        ({"request": "", "method": "GET", "request_uri": "", "uri": "/x", "args": ""}, "GET /x"),
        ({"method": "GET"}, None),
        ({"uri": "/x"}, None),
    ],
)
@pytest.mark.parametrize("agent", ["has a shape", "h\u00e4s none"])
def test_a_request_in_parts_is_joined(parts: dict[str, str], joined: str | None, agent: str) -> None:
    line = json.dumps(parts | {"msec": 1.5, "agent": agent}, ensure_ascii=False)
    found = nginx_json._by_shape(series([line]))
    assert found["error"].to_list() == [None if joined else "a field is missing"]
    assert found["request"].to_list() == [joined] or joined is None
