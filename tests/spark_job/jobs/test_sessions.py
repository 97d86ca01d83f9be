"""Sessions: against a recount of a real log, over a restart, with late lines, and the same live as over a range."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from spark_job.jobs.sessions import JOB, SessionsOptions
from spark_job.parse import LineParser
from tests.support.bridges import RealBridge
from tests.support.counting import forget_newest_commit, line
from tests.support.jobs import JobQuery, run_over
from tests.support.logs import EACH_LOG, MADE_UP, lines_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyspark.sql import SparkSession

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE = SessionsOptions(gap=timedelta(minutes=1), watermark=timedelta(0))

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[RealBridge]:
    with RealBridge(tmp_path / "log") as opened:
        yield opened


def recount(lines: list[bytes], gap: timedelta) -> set[tuple[Any, ...]]:
    """Return the sessions of a log as (start, end, host, agent, requests, bytes), found without Spark."""
    parsed = LineParser("combined").parse(pl.Series("body", lines, dtype=pl.Binary)).filter(pl.col("error").is_null())
    rows = sorted((r["host"], r["agent"] or "-", r["time"], r["bytes"]) for r in parsed.iter_rows(named=True))
    found = set()
    for (host, agent), visits in groupby(rows, key=lambda row: row[:2]):
        session: list[Any] = []
        for _, _, time, size in visits:
            if session and time - session[1] > gap:
                found.add((*session[:2], host, agent, *session[2:]))
                session = []
            session = [session[0], time, session[2] + 1, session[3] + size] if session else [time, time, 1, size]
        found.add((*session[:2], host, agent, *session[2:]))
    return found


def spans(rows: list[dict[str, Any]]) -> list[tuple[float, float, int]]:
    """Return (first second, last second, requests) of sessions."""
    return sorted(
        ((r["session_start"] - EPOCH).total_seconds(), (r["session_end"] - EPOCH).total_seconds(), r["requests"])
        for r in rows
    )


@pytest.mark.slow
@pytest.mark.parametrize("log", EACH_LOG)
def test_the_sessions_of_a_log_are_those_of_a_recount(
    spark: SparkSession, bridge: RealBridge, tmp_path: Path, log: str
) -> None:
    lines = lines_of(log)
    malformed = 1 if log == "real" else MADE_UP.malformed
    bridge.extend(lines)
    # The gap is no length that pauses of this log have, where a session window and a recount would differ by a hair.
    gap = timedelta(minutes=29, milliseconds=500)
    rows, tally = run_over(spark, JOB, SessionsOptions(gap=gap), bridge, tmp_path / "job")
    assert str(tally) == f"lines read 10,000 = counted {10_000 - malformed:,} + malformed {malformed} + late 0"
    names = ("session_start", "session_end", "host", "agent", "requests", "bytes")
    assert {tuple(row[name] for name in names) for row in rows} == recount(lines, gap)
    bots = {row["agent"] for row in rows if row["bot"]}
    assert "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)" in bots
    assert ("Twitterbot/1.0" in bots) is (log == "real")
    people = {
        "real": "Mozilla/5.0 (Windows NT 6.1; WOW64; rv:27.0) Gecko/20100101 Firefox/27.0",
        "made up": "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:34.0) Gecko/20100101 Firefox/34.0",
    }
    assert people[log] not in bots
    letters = list((tmp_path / "job" / "dead-letters").rglob("*.jsonl"))
    assert sum(len(path.read_text().splitlines()) for path in letters) == malformed


def test_pages_entry_exit_and_duration(spark: SparkSession, bridge: RealBridge, tmp_path: Path) -> None:
    asked = [(0, "/style.css"), (5, "/"), (5, "/second-of-the-same-second"), (30, "/about"), (31, "/logo.png")]
    bridge.extend([line(second, url) for second, url in asked])
    rows, _ = run_over(spark, JOB, SessionsOptions(), bridge, tmp_path / "job")
    assert len(rows) == 1
    shown = {
        name: rows[0][name] for name in ("requests", "pages", "bytes", "entry_page", "exit_page", "duration_s", "bot")
    }
    assert shown == {
        "requests": 5,
        "pages": 3,
        "bytes": 500,
        "entry_page": "/",
        "exit_page": "/about",
        "duration_s": 31.0,
        "bot": False,
    }


@pytest.mark.slow
def test_a_session_spans_restarts_and_lost_commits(spark: SparkSession, bridge: RealBridge, tmp_path: Path) -> None:
    folder = tmp_path / "job"
    with JobQuery(spark, JOB, MINUTE, bridge, folder) as query:
        query.feed([line(0), line(30)])
        assert query.rows() == []
        assert str(query.writer.finish()) == "lines read 2 = counted 0 + malformed 0 + late 0 + open 2"
    with JobQuery(spark, JOB, MINUTE, bridge, folder) as query:
        # Joins the session of the earlier process, and a pause ends it.
        query.feed([line(75), line(500)])
        assert spans(query.rows()) == [(0, 75, 3)]
    forget_newest_commit(folder)
    with JobQuery(spark, JOB, MINUTE, bridge, folder) as query:
        query.query.processAllAvailable()
        assert spans(query.rows()) == [(0, 75, 3)]
        query.feed([line(505), line(900)])
        query.feed([line(2000)])
        assert spans(query.rows()) == [(0, 75, 3), (500, 505, 2), (900, 900, 1)]
        tally = query.writer.finish()
    assert str(tally) == "lines read 7 = counted 6 + malformed 0 + late 0 + open 1"


@pytest.mark.slow
def test_late_lines_are_counted_as_such_and_those_in_time_join_sessions(
    spark: SparkSession, bridge: RealBridge, tmp_path: Path
) -> None:
    options = SessionsOptions(gap=timedelta(minutes=1), watermark=timedelta(minutes=5))
    with JobQuery(spark, JOB, options, bridge, tmp_path / "job") as query:
        query.feed([line(1000), line(1100)])
        # The watermark is at 800 from now on; this fills the pause between the two sessions above.
        query.feed([line(1050), b"junk"])
        query.feed([line(3000)])
        # Alone, a line is a session that ends a minute later; the watermark of the batch before was at 2700.
        query.feed([line(1051), line(2640), line(2641)])
        query.feed([line(9000)])
        query.feed([line(9001)])
        assert spans(query.rows()) == [(1000, 1100, 3), (2641, 2641, 1), (3000, 3000, 1)]
        tally = query.writer.finish()
    assert str(tally) == "lines read 10 = counted 5 + malformed 1 + late 2 + open 2"
    assert tally.balanced


@pytest.mark.slow
def test_what_is_closed_live_is_what_a_range_gives(spark: SparkSession, tmp_path: Path) -> None:
    lines = [line(second * 7 % 1800, f"/{second}") for second in range(600)]
    options = SessionsOptions(gap=timedelta(seconds=5), watermark=timedelta(hours=1))
    with RealBridge(tmp_path / "a") as bridge:
        bridge.extend(lines)
        expected, _ = run_over(spark, JOB, options, bridge, tmp_path / "range")
    with RealBridge(tmp_path / "b") as bridge, JobQuery(spark, JOB, options, bridge, tmp_path / "live") as query:
        for start in range(0, 600, 150):
            query.feed(lines[start : start + 150])
        query.feed([line(100_000)])
        found = query.rows()
    assert found == expected
