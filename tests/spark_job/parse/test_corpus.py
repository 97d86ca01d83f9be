"""Whole logs of 10,000 lines: a made-up one and, where it is at hand, a real one, compared with apachelogs."""

from __future__ import annotations

from datetime import timedelta

import apachelogs
import polars as pl
import pytest

from spark_job.parse import LineParser, Reason, panes, roll_up
from tests.support.access_lines import bodies
from tests.support.logs import EACH_LOG, MADE_UP, hits_of, lines_of, needs_real_log

ROLL_UP_COLUMNS = ["time", "url", "status", "bytes", "error"]
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module", params=EACH_LOG)
def lines(request: pytest.FixtureRequest) -> list[bytes]:
    return lines_of(request.param)


@pytest.fixture(scope="module")
def parsed(lines: list[bytes]) -> pl.DataFrame:
    return LineParser("combined").parse(bodies(*lines))


@pytest.fixture(scope="module")
def real() -> pl.DataFrame:
    return LineParser("combined").parse(bodies(*lines_of("real")))


def assert_counts(parsed: pl.DataFrame) -> None:
    hits = dict(parsed["url"].value_counts().iter_rows())
    assert (hits["/favicon.ico"], hits["/style2.css"], hits["/reset.css"]) == (807, 546, 538)


@needs_real_log
def test_one_line_of_ten_thousand_is_malformed_and_kept(real: pl.DataFrame) -> None:
    parsed, lines = real, lines_of("real")
    malformed = parsed.filter(pl.col("error").is_not_null())
    assert len(parsed) == 10_000
    assert malformed["error"].to_list() == [Reason.OPEN_QUOTE]
    assert malformed["raw"].to_list() == [next(line for line in lines if not line.endswith(b'"')).decode()]


@needs_real_log
def test_urls_have_the_counts_that_other_programs_found(real: pl.DataFrame) -> None:
    assert_counts(real)


@needs_real_log
def test_the_common_part_of_each_line_has_the_same_counts() -> None:
    lines = lines_of("real")
    whole = [line for line in lines if line.endswith(b'"')]
    parsed = LineParser("common").parse(bodies(*(line.rsplit(b' "', 2)[0] for line in whole)))
    assert parsed["error"].null_count() == 9_999
    assert_counts(parsed)


def test_the_columns_of_a_roll_up_are_those_of_a_full_parse(parsed: pl.DataFrame, lines: list[bytes]) -> None:
    some = LineParser("combined").parse(bodies(*lines), ROLL_UP_COLUMNS)
    assert some.equals(parsed.select(ROLL_UP_COLUMNS))


def test_sums_per_pane_are_those_of_the_lines(parsed: pl.DataFrame) -> None:
    rolled = roll_up(parsed, HOUR)
    assert rolled["hits"].sum() == sum(panes(rolled, HOUR).values()) == parsed["error"].null_count() >= 9_993


@needs_real_log
def test_the_real_log_has_so_many_panes_and_urls(real: pl.DataFrame) -> None:
    rolled = roll_up(real, HOUR)
    assert (len(rolled), rolled["hits"].sum()) == (5_458, 9_999)


def test_the_made_up_log_has_the_counts_that_it_was_made_with() -> None:
    lines = lines_of("made up")
    parsed = LineParser("combined").parse(bodies(*lines))
    assert parsed["error"].is_not_null().sum() == MADE_UP.malformed
    counted = parsed.filter(pl.col("error").is_null())["url"].value_counts()
    assert dict(counted.iter_rows()) == hits_of(lines)


def test_every_field_is_what_apachelogs_reads(parsed: pl.DataFrame, lines: list[bytes]) -> None:
    oracle = apachelogs.LogParser(apachelogs.COMBINED, encoding="utf-8", errors="backslashreplace")
    for line, ours in zip(lines, parsed.iter_rows(named=True), strict=True):
        if ours["error"] is not None:
            continue
        theirs = oracle.parse(line.decode())
        assert ours["time"] == theirs.request_time
        assert ours["host"] == theirs.remote_host
        assert ours["user"] == theirs.remote_user
        assert ours["status"] == theirs.final_status
        assert ours["bytes"] == (theirs.bytes_sent or 0)
        assert ours["referrer"] == theirs.headers_in["Referer"]
        assert ours["agent"] == theirs.headers_in["User-Agent"]
        assert theirs.request_line.startswith(f"{ours['method']} ")
        assert theirs.request_line.endswith(f" {ours['protocol']}")
