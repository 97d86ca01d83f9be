"""A real log of 10,000 lines (Elastic's example, 2015), compared with counts by hand and with apachelogs."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import apachelogs
import polars as pl
import pytest

from spark_job.parse import LineParser, Reason, panes, roll_up
from tests.support.access_lines import bodies

CORPUS = Path(__file__).parents[4] / "shared" / "corpora" / "elastic-apache-2015.log"
ROLL_UP_COLUMNS = ["time", "url", "status", "bytes", "error"]

pytestmark = pytest.mark.skipif(not CORPUS.exists(), reason="the corpus is not beside this repository")


@pytest.fixture(scope="module")
def lines() -> list[bytes]:
    return CORPUS.read_bytes().splitlines()


@pytest.fixture(scope="module")
def parsed(lines: list[bytes]) -> pl.DataFrame:
    return LineParser("combined").parse(bodies(*lines))


def assert_counts(parsed: pl.DataFrame) -> None:
    hits = dict(parsed["url"].value_counts().iter_rows())
    assert (hits["/favicon.ico"], hits["/style2.css"], hits["/reset.css"]) == (807, 546, 538)


def test_one_line_of_ten_thousand_is_malformed_and_kept(parsed: pl.DataFrame, lines: list[bytes]) -> None:
    malformed = parsed.filter(pl.col("error").is_not_null())
    assert len(parsed) == 10_000
    assert malformed["error"].to_list() == [Reason.OPEN_QUOTE]
    assert malformed["raw"].to_list() == [next(line for line in lines if not line.endswith(b'"')).decode()]


def test_urls_have_the_counts_that_other_programs_found(parsed: pl.DataFrame) -> None:
    assert_counts(parsed)


def test_the_common_part_of_each_line_has_the_same_counts(lines: list[bytes]) -> None:
    whole = [line for line in lines if line.endswith(b'"')]
    parsed = LineParser("common").parse(bodies(*(line.rsplit(b' "', 2)[0] for line in whole)))
    assert parsed["error"].null_count() == 9_999
    assert_counts(parsed)


def test_the_columns_of_a_roll_up_are_those_of_a_full_parse(parsed: pl.DataFrame, lines: list[bytes]) -> None:
    some = LineParser("combined").parse(bodies(*lines), ROLL_UP_COLUMNS)
    assert some.equals(parsed.select(ROLL_UP_COLUMNS))


def test_sums_per_pane_are_those_of_the_lines(parsed: pl.DataFrame) -> None:
    hour = timedelta(hours=1)
    rolled = roll_up(parsed, hour)
    assert len(rolled) == 5_458
    assert rolled["hits"].sum() == sum(panes(rolled, hour).values()) == 9_999


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
