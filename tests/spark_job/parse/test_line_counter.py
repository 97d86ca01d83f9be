"""Kernels and parser together count exactly as the parser alone does."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.sample import SampleSettings, sample_lines
from spark_job.parse import LineCounter, LineParser, UrlRule
from spark_job.parse.line_counter import KERNELS_AFTER_LINES, LinesSeen
from spark_job.parse.schema import MAX_RAW_BYTES
from tests.support.access_lines import combined
from tests.support.line_counts import RECEIVED, Question, counted, events, left_by_kernels, parsed
from tests.support.logs import REAL_LOG, lines_of
from tests.support.near_lines import FORMATS, NAMED, STRICT_COMBINED, as_format, near_lines, questions, spoil

COMPILED = os.environ.get("NUMBA_DISABLE_JIT") != "1"
MUTATIONS = 100_000 if COMPILED else 4_000

COUNT_ONE_LINE = """
import sys
from datetime import timedelta
import polars as pl
import pyarrow as pa
from spark_job.parse import LineCounter, LineParser
from spark_job.parse.line_counter import KERNELS_AFTER_LINES, LinesSeen
kinds = {"offset": pa.int64(), "received": pa.timestamp("us", tz="UTC")}
body = pl.Series([b"a line that the kernels leave"]).to_arrow().cast(pa.binary())
columns = [*(pa.nulls(1, kind) for kind in kinds.values()), body]
counter = LineCounter(LineParser("combined", "path", "UTC"), timedelta(minutes=1), seen=LinesSeen(KERNELS_AFTER_LINES))
counter.add(pa.Table.from_batches([pa.record_batch(columns, names=[*kinds, "body"])]))
loaded = (name in sys.modules for name in ("spark_job.parse.kernels.sum_arrays", "pandas"))
print(len(counter.take().dead_letters), *loaded)
"""


def real_lines(count: int) -> list[bytes]:
    """Return lines of a real log; where it is not at hand, of one that looks like it."""
    if REAL_LOG.exists():
        return lines_of("real")[:count]
    return [line.rstrip(b"\n") for line in sample_lines(SampleSettings(lines=count, malformed=count // 100))]


@settings(max_examples=100 if COMPILED else 50)
@given(questions, st.lists(near_lines(), max_size=12), st.integers(1, 3))
def test_any_lines_are_counted_as_if_each_was_parsed(question: Question, some: list[bytes], pieces: int) -> None:
    table = events([as_format(line, question.log_format) for line in some], pieces)
    assert counted(question, table) == parsed(question, table)


@pytest.mark.parametrize("log_format", FORMATS)
@pytest.mark.parametrize("rule", list(UrlRule))
def test_a_real_log_is_counted_as_if_each_line_was_parsed(log_format: str, rule: UrlRule) -> None:
    lines = [as_format(line, log_format) for line in real_lines(10_000 if COMPILED else 1_000)]
    question = Question(log_format, str(rule))
    table = events(lines, pieces=3)
    assert counted(question, table) == parsed(question, table)
    assert len(left_by_kernels(question, table)) < len(lines) // 50


@pytest.mark.parametrize("log_format", NAMED)
def test_spoiled_lines_of_a_real_log_are_counted_as_if_each_was_parsed(log_format: str) -> None:
    rng = random.Random(log_format)  # noqa: S311 -- a test must be repeatable
    lines = real_lines(10_000)
    spoiled = [spoil(as_format(rng.choice(lines), log_format), rng) for _ in range(MUTATIONS // len(NAMED))]
    question = Question(log_format, rng.choice([str(rule) for rule in UrlRule]))
    table = events(spoiled, pieces=2)
    answer = parsed(question, table)
    assert counted(question, table) == answer
    question = replace(question, open_from=sorted(time for time, *_ in answer.sums)[len(answer.sums) // 2])
    answer = parsed(question, table)
    assert counted(question, table) == answer
    assert 0 < answer.too_old < len(answer.dead_letters) < len(spoiled)


TIME = "17/May/2015:10:05:03 +0000"
TAKEN = [
    combined(),
    combined() + "\r\r",
    combined() + ' "more" \\ and more',
    combined("OPTIONS * HTTP/1.0"),
    combined("GET http://host.example/a?b HTTP/2"),
    combined("GET /a#b?c HTTP/1.1"),
    combined("CONNECT host.example:443 HTTP/1.1"),
    combined(agent="Mozilla/5.0 (a long one, which is read by eights, whatever it starts at)"),
    combined(agent="été", user="é"),
    combined(agent="\t\x00\x7f"),
    combined().replace("200 5", "- -"),
    combined().replace("200 5", "404 999999999999999"),
    combined().replace(TIME, "29/Feb/2016:23:59:60 -0330"),
    combined().replace(TIME, "31/Dec/1900:00:00:00 +2359"),
]
LEFT = [
    "",
    "\r",
    "-",
    combined()[:40],
    combined()[:-1],
    combined(agent=r"a \"b\""),
    combined(agent=r"\x22"),
    combined(user="frank zappa"),
    combined(user="a\\b"),
    combined(user='""'),
    combined("-"),
    combined("GET /old"),
    combined("GET /a b HTTP/1.1"),
    combined("get / HTTP/1.1"),
    combined("GET  HTTP/1.1"),
    combined("GET / RTSP/1.0"),
    combined("GET / HTTP/1.10"),
    combined("GET / HTTP/1.1 "),
    combined("GET /é HTTP/1.1"),
    combined("GET /\\x41 HTTP/1.1"),
    combined("GET /?\\x41 HTTP/1.1"),
    combined() + "x",
    combined().replace("200 5", "2000 5"),
    combined().replace("200 5", "20 5"),
    combined().replace("200 5", "200 1234567890123456"),
    combined().replace("200 5", "200 x"),
    combined().replace("200 5", "200"),
    combined().replace('" 200', '"  200'),
    combined().replace(' "-" ', " - "),
    combined().replace(TIME, "17/may/2015:10:05:03 +0000"),
    combined().replace(TIME, "29/Feb/2015:10:05:03 +0000"),
    combined().replace(TIME, "29/Feb/2100:10:05:03 +0000"),
    combined().replace(TIME, "00/May/2015:10:05:03 +0000"),
    combined().replace(TIME, "17/May/1899:10:05:03 +0000"),
    combined().replace(TIME, "17/May/3000:10:05:03 +0000"),
    combined().replace(TIME, "17/May/2015:24:05:03 +0000"),
    combined().replace(TIME, "17/May/2015:10:05:61 +0000"),
    combined().replace(TIME, "17/May/2015:10:05:03 +00:00"),
    combined().replace(TIME, "17/May/2015:10:05:03 00000"),
    combined().replace(TIME, "17-May-2015:10:05:03 +0000"),
    combined().replace(TIME, "xx/May/2015:10:05:03 +0000"),
]


@pytest.mark.parametrize("line", TAKEN)
def test_the_kernels_take_a_line(line: str) -> None:
    table = events([line.encode()])
    assert left_by_kernels(Question(), table) == []
    assert counted(Question(), table) == parsed(Question(), table)


@pytest.mark.parametrize("line", LEFT)
def test_the_kernels_leave_a_line_that_is_not_as_most_are(line: str) -> None:
    table = events([line.encode()])
    assert left_by_kernels(Question(), table) == [0]
    assert counted(Question(), table) == parsed(Question(), table)


@pytest.mark.parametrize(
    ("server", "taken"),
    [
        ("www.example:443", True),
        ("[::1]:80", True),
        ("www.example:" + "1" * 18, True),
        ("www.example:" + "1" * 19, False),
        ("www.example:-", False),
        ("www.example:", False),
        ("www.example", False),
        (":443", False),
        ('www"example:443', False),
    ],
)
def test_a_server_and_its_port(server: str, taken: bool) -> None:  # noqa: FBT001
    question = Question("vhost_combined")
    table = events([f"{server} {combined()}".encode()])
    assert (left_by_kernels(question, table) == []) is taken
    assert counted(question, table) == parsed(question, table)


@pytest.mark.parametrize("log_format", [STRICT_COMBINED, "common"])
def test_a_format_that_ends_leaves_lines_that_go_on(log_format: str) -> None:
    table = events([as_format(combined().encode(), log_format) + b" more"])
    assert left_by_kernels(Question(log_format), table) == [0]


@pytest.mark.parametrize("log_format", ["nginx_json", '%h "%r" %t %>s', '%h %l %u %t "%r" %s %b'])
def test_other_formats_are_parsed(log_format: str) -> None:
    line = b'192.0.2.7 "GET / HTTP/1.1" [17/May/2015:10:05:03 +0000] 200'
    table = events([line, b"x", combined().encode(), b'{"time": 1, "request": "GET / HTTP/1.1", "status": 404}'])
    question = Question(log_format)
    assert counted(question, table) == parsed(question, table)


def test_nulls_and_nothing_are_malformed_and_nothing() -> None:
    table = events([combined().encode(), b"x"]).set_column(
        2, "body", pa.array([None, combined().encode()], pa.binary())
    )
    assert counted(Question(), table) == parsed(Question(), table)
    assert counted(Question(), events([])) == parsed(Question(), events([]))
    assert counted(Question(), events([b"", b""])) == parsed(Question(), events([b"", b""]))


def test_the_kernels_are_loaded_once_they_pay() -> None:
    seen = LinesSeen(KERNELS_AFTER_LINES - 2)
    counter = LineCounter(LineParser("combined"), timedelta(minutes=1), seen=seen)
    table = events([combined().encode()])
    loaded = []
    for _ in range(3):
        counter.add(table)
        loaded.append(counter._arrays is not None)
    assert loaded == [False, False, True]
    assert counter.take().sums["hits"].to_list() == [3]
    assert counter.take().sums.is_empty()
    assert seen.lines == KERNELS_AFTER_LINES + 1


def test_lines_that_are_left_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spark_job.parse.line_counter.PARSED_AT_ONCE", 3)
    counter = LineCounter(LineParser("combined"), timedelta(minutes=1), seen=LinesSeen(KERNELS_AFTER_LINES))
    waiting = []
    for _ in range(4):
        counter.add(events([combined().encode(), b"x"]))
        waiting.append(sum(batch.num_rows for batch in counter._waiting))
    assert waiting == [1, 2, 0, 1]
    assert counter.take().dead_letters["raw"].to_list() == ["x"] * 4


def test_a_counter_says_when_it_holds_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spark_job.parse.line_counter.PARSED_AT_ONCE", 1)
    counter = LineCounter(LineParser("combined"), timedelta(minutes=1), seen=LinesSeen(KERNELS_AFTER_LINES))
    counter.add(events([combined("GET /a HTTP/1.1").encode()]))
    said = [counter.is_full]
    with monkeypatch.context() as patched:
        patched.setattr("spark_job.parse.line_counter.MAX_HELD_BYTES", 1)
        said.append(counter.is_full)
    monkeypatch.setattr("spark_job.parse.line_counter.MAX_SUMS", 0)
    said.append(counter.is_full)
    counter.take()
    assert [*said, counter.is_full] == [False, True, True, False]


def test_by_arrival_lines_are_counted_when_they_were_received() -> None:
    table = events([combined().encode(), combined("GET /old").encode(), b"x"])
    answer = counted(Question(by_arrival=True), table)
    assert [(time, url) for time, url, *_ in answer.sums] == [(RECEIVED, "/"), (RECEIVED, "/old")]
    assert [offset for offset, *_ in answer.dead_letters] == [2]


@settings(max_examples=100 if COMPILED else 50)
@given(
    questions,
    st.lists(near_lines(), min_size=1, max_size=12),
    st.integers(1, 3),
    st.integers(0, 11),
    st.integers(-1, 1),
)
def test_too_old_lines_are_the_same_with_kernels_and_without(
    question: Question, some: list[bytes], pieces: int, place: int, later_us: int
) -> None:
    """The instant is the time of one of the lines, or lies a microsecond before or after it."""
    table = events([as_format(line, question.log_format) for line in some], pieces)
    times = [time for time, *_ in parsed(question, table).sums] or [RECEIVED]
    question = replace(question, open_from=times[place % len(times)] + timedelta(microseconds=later_us))
    expected = parsed(question, table)
    assert counted(question, table) == expected
    assert counted(question, table, kernels=False) == expected


@pytest.mark.parametrize("kernels", [True, False])
def test_too_old_lines_are_dead_letters_and_counted_apart(kernels: bool) -> None:  # noqa: FBT001
    second = [combined().replace(":03 +", f":{second:02} +").encode() for second in (2, 4, 3)]
    long = combined(agent="a" * MAX_RAW_BYTES).encode() + b"\r"
    table = events([second[0], second[1], b"x", second[2], long])
    answer = counted(Question(open_from=datetime(2015, 5, 17, 10, 5, 4, tzinfo=UTC)), table, kernels=kernels)
    error = "too old: all windows of lines before 2015-05-17T10:05:04Z are closed"
    assert [(offset, said, raw) for offset, _, said, raw, _ in answer.dead_letters] == [
        (0, error, second[0].decode()),
        (2, "does not match the format", "x"),
        (3, error, second[2].decode()),
        (4, error, long.decode()[:MAX_RAW_BYTES]),
    ]
    assert (answer.too_old, list(answer.panes.values())) == (3, [1])


def test_a_counter_starts_from_zero_after_its_counts_were_taken() -> None:
    counter = LineCounter(LineParser("combined"), timedelta(minutes=1), open_from_us=2**53)
    counter.add(events([combined().encode()]))
    assert counter.take().too_old == 1
    taken = counter.take()
    assert (taken.too_old, len(taken.dead_letters), len(taken.sums)) == (0, 0, 0)


def test_by_arrival_a_line_is_too_old_if_it_was_received_before() -> None:
    table = events([combined().encode()] * 3, pieces=3)
    question = Question(by_arrival=True, open_from=RECEIVED + timedelta(minutes=1))
    assert counted(question, table) == counted(question, table, kernels=False) == parsed(question, table)
    assert [offset for offset, *_ in counted(question, table).dead_letters] == [0]


def test_pandas_is_not_loaded_to_count() -> None:
    """Each of Spark's workers would spend 0.4 s on that before its first count."""
    done = subprocess.run([sys.executable, "-c", COUNT_ONE_LINE], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "True", "False"]
