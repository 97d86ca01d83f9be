"""Streaming SQL: answers live and over a range, and what is said of a query that cannot be answered."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from spark_job.errors import OptionError
from spark_job.jobs.options import SqlOptions
from spark_job.jobs.sql import JOB, ask, for_query, shape_of
from spark_job.runner.structured.job import stream_of
from tests.support.bridges import RealBridge
from tests.support.counting import forget_newest_commit, line
from tests.support.jobs import JobQuery, run_over, settings_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyspark.sql import SparkSession

BY_URL = "SELECT url, count(*) AS hits FROM access_log GROUP BY url"

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealBridge]:
    with RealBridge(tmp_path_factory.mktemp("sql") / "log") as opened:
        opened.extend([line(0, "/a"), line(61, "/b"), line(62, "/a"), b"junk"])
        yield opened


def refused(spark: SparkSession, bridge: RealBridge, folder: Path, query: str, **more: object) -> str:
    """Return what is said of a query over a stream."""
    options = SqlOptions(query=query, **more)

    def answer() -> None:
        job = for_query(options)
        settings = settings_for(job, bridge, folder)
        shape_of(ask(stream_of(spark, job.source, job.source_options(settings, options)), options), options)

    with pytest.raises(OptionError) as error:
        answer()
    said = str(error.value)
    assert "\n" not in said
    assert "SQLSTATE" not in said
    return said


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELEC url FROM access_log", "line 1, column 1: Syntax error at or near 'SELEC'"),
        ("SELECT url,\n  count(* AS n FROM access_log", "line 2, column 11: Syntax error at or near 'AS'"),
        ("SELECT ur FROM access_log", "line 1, column 8: A column, variable, or function parameter with name 'ur'"),
        ("SELECT url FROM acces_log", "line 1, column 17: The table or view 'acces_log' cannot be found"),
        ("SELECT nofn(url) FROM access_log", "line 1, column 8: Cannot resolve routine 'nofn'"),
        ("SELECT url, time FROM access_log GROUP BY url", 'line 1, column 13: The non-aggregating expression "time"'),
        ("SELECT url FROM access_log LIMIT 5", "a stream has no end that LIMIT could count to"),
        ("SELECT a.url FROM access_log a JOIN access_log b USING (url)", "reads its view more than once"),
        ("SELECT url FROM access_log ORDER BY url", "line 1, column 28: Sorting is not supported on streaming"),
        ("SELECT count(DISTINCT url) FROM access_log", "line 1, column 14: Distinct aggregations are not supported"),
        ("SELECT 1", "it reads neither access_log nor flume"),
        ("SELECT url FROM access_log UNION SELECT body FROM flume", "a query can read only one of them"),
        ("SELECT url, url FROM access_log", "two columns are called url"),
        ("DROP VIEW access_log", "line 1, column 1: Syntax error at or near 'DROP'"),
        ("INSERT INTO x VALUES (1)", "line 1, column 1: Syntax error at or near 'INSERT'"),
        ("", "line 1, column 1: Syntax error, unexpected empty statement"),
    ],
)
def test_a_query_that_cannot_be_answered_is_refused_with_its_place(
    spark: SparkSession, bridge: RealBridge, tmp_path: Path, query: str, said: str
) -> None:
    assert said in refused(spark, bridge, tmp_path / "job", query)


def test_a_key_that_the_query_does_not_give_is_refused(spark: SparkSession, bridge: RealBridge, tmp_path: Path) -> None:
    said = refused(spark, bridge, tmp_path / "job", BY_URL, key="url,window")
    assert said == "--key url,window: the query has no column window; it has url, hits"


def test_a_range_is_answered_as_a_batch_is(spark: SparkSession, bridge: RealBridge, tmp_path: Path) -> None:
    ordered = SqlOptions(query=f"{BY_URL} ORDER BY hits DESC LIMIT 1")
    rows, tally = run_over(spark, for_query(ordered), ordered, bridge, tmp_path / "a")
    assert rows == [{"row": 0, "url": "/a", "hits": 2}]
    assert str(tally) == "lines read 4 = counted 3 + malformed 1 + late 0"
    joined = SqlOptions(query="SELECT count(*) AS n FROM access_log a JOIN access_log b USING (url)")
    assert run_over(spark, for_query(joined), joined, bridge, tmp_path / "b")[0] == [{"row": 0, "n": 5}]
    raw = SqlOptions(query="SELECT offset, headers, body FROM flume WHERE offset = 3")
    rows, tally = run_over(spark, for_query(raw), raw, bridge, tmp_path / "c")
    assert rows == [{"row": 0, "offset": 3, "headers": '{"n":"3"}', "body": "junk"}]
    assert str(tally) == "lines read 4 = counted 4 + malformed 0 + late 0"


@pytest.mark.slow
def test_an_aggregating_query_shows_its_whole_answer_after_each_batch(spark: SparkSession, tmp_path: Path) -> None:
    options = SqlOptions(query="SELECT count(*) AS hits, url FROM access_log GROUP BY url, window(time, '1 minute')")
    folder = tmp_path / "job"
    with RealBridge(tmp_path / "log") as bridge:
        with JobQuery(spark, for_query(options), options, bridge, folder) as query:
            query.feed([line(0, "/a"), line(61, "/a"), b"junk"])
            assert [(row["url"], row["hits"]) for row in query.rows()] == [("/a", 1), ("/a", 1)]
        forget_newest_commit(folder)
        with JobQuery(spark, for_query(options), options, bridge, folder) as query:
            query.feed([line(5, "/a"), line(5, "/b")])
            assert [(row["url"], row["hits"]) for row in query.rows()] == [("/a", 1), ("/b", 1), ("/a", 2)]
            assert str(query.writer.finish()) == "lines read 5 = counted 4 + malformed 1 + late 0"


@pytest.mark.slow
def test_with_a_key_rows_take_the_place_of_older_ones(spark: SparkSession, tmp_path: Path) -> None:
    options = SqlOptions(query=BY_URL, key="url", watermark=timedelta(minutes=1))
    with (
        RealBridge(tmp_path / "log") as bridge,
        JobQuery(spark, for_query(options), options, bridge, tmp_path / "job") as query,
    ):
        query.feed([line(0, "/a"), line(1, "/b")])
        query.feed([line(2, "/a")])
        assert query.rows() == [{"url": "/a", "hits": 2}, {"url": "/b", "hits": 1}]


@pytest.mark.slow
def test_other_queries_give_each_row_once_also_after_a_lost_commit(spark: SparkSession, tmp_path: Path) -> None:
    options = SqlOptions(query="SELECT upper(url) AS page FROM access_log WHERE status = 200")
    folder = tmp_path / "job"
    with RealBridge(tmp_path / "log") as bridge:
        with JobQuery(spark, for_query(options), options, bridge, folder) as query:
            query.feed([line(0, "/a"), line(1, "/b")])
        forget_newest_commit(folder)
        with JobQuery(spark, for_query(options), options, bridge, folder) as query:
            query.feed([line(2, "/c")])
            assert [row["page"] for row in query.rows()] == ["/A", "/B", "/C"]


def test_the_job_reads_the_view_that_its_query_names() -> None:
    assert for_query(SqlOptions(query="SELECT * FROM FLUME")).source == "flume"
    assert for_query(SqlOptions(query=BY_URL)).source == "access_log"
    assert JOB.source == "access_log"
