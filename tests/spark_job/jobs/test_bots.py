"""Bots: what a model learns tells programs from people, the same lines give the same scores, live and over a range."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from spark_job.errors import OptionError
from spark_job.jobs.bots import JOB, BotsOptions
from tests.support.bridges import RealBridge
from tests.support.counting import EPOCH, forget_newest_commit, line
from tests.support.jobs import JobQuery, run_over

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyspark.sql import SparkSession

OPTIONS = BotsOptions(window=timedelta(minutes=10), watermark=timedelta(minutes=10), train_on=100)

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[RealBridge]:
    with RealBridge(tmp_path / "log") as opened:
        yield opened


def visit(host: int, second: int, request: str, agent: str, *, referrer: str = "-", status: int = 200) -> bytes:
    time = f"{EPOCH + timedelta(seconds=second):%d/%b/%Y:%H:%M:%S} +0000"
    return f'10.0.0.{host} - - [{time}] "{request} HTTP/1.1" {status} 900 "{referrer}" "{agent}"'.encode()


def site() -> list[bytes]:
    """Return a log in which people follow links and load images, and crawlers ask for one page after the other.

    Host 99 calls itself a browser and behaves like a crawler.
    """
    lines = []
    for host in range(1, 16):
        for page in range(4):
            second = host * 20 + page * 5
            lines.append(visit(host, second, f"GET /p{page % 2}", "Mozilla/5.0 Firefox/130.0", referrer="/"))
            lines += [
                visit(host, second, f"GET /i{n}.png", "Mozilla/5.0 Firefox/130.0", referrer="/") for n in range(3)
            ]
    for host in (40, 41, 42, 43, 44, 99):
        agent = "Mozilla/5.0 Chrome/131.0" if host == 99 else "Examplebot/1.0 (+http://example.com/bot)"
        lines += [
            visit(host, host + n, f"{'HEAD' if n % 2 else 'GET'} /p{n}", agent, status=404 if n % 3 else 200)
            for n in range(12)
        ]
    return lines


def test_programs_are_told_from_people_and_the_same_lines_give_the_same_scores(
    spark: SparkSession, bridge: RealBridge, tmp_path: Path
) -> None:
    lines = site()
    bridge.extend([*lines, b"junk"])
    rows, tally = run_over(spark, JOB, OPTIONS, bridge, tmp_path / "job")
    assert tally.balanced
    assert (tally.counted, tally.malformed) == (len(lines), 1)
    assert {row["host"] for row in rows if row["bot"]} == {f"10.0.0.{n}" for n in (40, 41, 42, 43, 44, 99)}
    assert {row["host"] for row in rows if row["declared"]} == {f"10.0.0.{n}" for n in range(40, 45)}
    assert sum(row["requests"] for row in rows) == len(lines)
    again, _ = run_over(spark, JOB, OPTIONS, bridge, tmp_path / "again")
    assert again == rows


def test_the_model_is_trained_once_and_scores_a_stream_as_it_scores_a_range(
    spark: SparkSession, bridge: RealBridge, tmp_path: Path
) -> None:
    lines = site()
    bridge.extend(lines)
    expected, _ = run_over(spark, JOB, OPTIONS, bridge, tmp_path / "range")
    folder = tmp_path / "live"
    with JobQuery(spark, JOB, OPTIONS, bridge, folder) as query:
        query.query.processAllAvailable()
        assert query.rows() == expected
    trained = (folder / "model" / "trained").stat().st_mtime_ns
    forget_newest_commit(folder)
    with JobQuery(spark, JOB, OPTIONS, bridge, folder) as query:
        query.query.processAllAvailable()
        assert query.rows() == expected
        # Read up to here, and everything below is of people: a model that were trained now would know no program.
        query.feed([visit(7, 400, "GET /p1", "Mozilla/5.0 Firefox/130.0", referrer="/")])
        changed = [row for row in query.rows() if row not in expected]
        assert [(row["host"], row["requests"]) for row in changed] == [("10.0.0.7", 17)]
        assert query.writer.finish().balanced
    assert (folder / "model" / "trained").stat().st_mtime_ns == trained


def test_what_there_is_nothing_to_learn_from_is_refused(
    spark: SparkSession, bridge: RealBridge, tmp_path: Path
) -> None:
    bridge.extend([line(second) for second in range(200)])
    with pytest.raises(OptionError, match="--train-on: so far all lines come from programs, or all from people"):
        run_over(spark, JOB, OPTIONS, bridge, tmp_path / "job")
    missing = OPTIONS.model_copy(update={"model": tmp_path / "none"})
    with pytest.raises(OptionError, match="the folder holds no model"):
        run_over(spark, JOB, missing, bridge, tmp_path / "other")
