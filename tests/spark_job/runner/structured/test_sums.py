"""Jobs whose rows are sums: a recount of all lines, whatever becomes of the checkpoint and however late they are."""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from spark_job.errors import DataLoss
from spark_job.jobs import running_totals, top_sellers
from spark_job.jobs.running_totals import TotalsOptions
from spark_job.jobs.top_sellers import SellersOptions
from spark_job.sinks.database import parse_database_url, read_rows
from spark_job.sinks.sink_spec import parse_sink
from tests.support.bridges import RealBridge
from tests.support.counting import forget_newest_commit, line
from tests.support.jobs import JobQuery

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pyspark.sql import SparkSession

TOTALS = running_totals.JOB.structured
SELLERS = top_sellers.JOB.structured


def delete(folder: Path) -> None:
    shutil.rmtree(folder / "checkpoint")


def truncate(folder: Path) -> None:
    for path in (folder / "checkpoint").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def set_back(folder: Path) -> None:
    forget_newest_commit(folder)


def exchange(folder: Path) -> None:
    (folder / "checkpoint" / "metadata").write_text('{"id": "of another query"}')


@pytest.mark.spark
def test_totals_are_a_recount_with_any_checkpoint_and_databases_follow(spark: SparkSession, tmp_path: Path) -> None:
    job, copy, expected = tmp_path / "job", f"sqlite:///{tmp_path / 'copy.db'}", Counter[str]()
    dice = random.Random(7)  # noqa: S311 -- URLs, not secrets
    harms: list[Callable[[Path], None]] = [delete, truncate, set_back, exchange]
    with RealBridge(tmp_path / "log") as bridge:
        for harm in harms:
            with JobQuery(spark, TOTALS, TotalsOptions(), bridge, job, sinks=(parse_sink(copy),)) as query:
                for _ in range(2):
                    urls = [f"/{dice.randrange(4)}" for _ in range(20)]
                    expected.update(urls)
                    query.feed([*(line(dice.randrange(10**9), url) for url in urls), b"?"])
                total = expected.total()
                assert {row["url"]: (row["hits"], row["bytes"]) for row in query.rows()} == {
                    url: (hits, 100 * hits) for url, hits in expected.items()
                }
                malformed = total // 20
                assert str(query.writer.tally) == (
                    f"lines read {total + malformed:,} = counted {total:,} + malformed {malformed}"
                )
                assert list(read_rows(parse_database_url(copy), "running_totals")) == query.rows()
            harm(job)
            bridge.retain()


@pytest.mark.spark
def test_an_older_copy_of_the_table_is_refused_when_the_bridge_has_deleted_the_rest(
    spark: SparkSession, tmp_path: Path
) -> None:
    job = tmp_path / "job"
    with RealBridge(tmp_path / "log") as bridge:
        for number in range(2):
            with JobQuery(spark, TOTALS, TotalsOptions(), bridge, job) as query:
                query.feed([line(1)] * 5)
            shutil.copy(job / "counts.db", tmp_path / f"{number}.db")
        shutil.copy(tmp_path / "0.db", job / "counts.db")
        with pytest.raises(DataLoss, match="stored up to offset 5, and the bridge has deleted the events 5 to 9"):
            JobQuery(spark, TOTALS, TotalsOptions(), bridge, job).__enter__()
        with JobQuery(spark, TOTALS, TotalsOptions(), bridge, job, allow_data_loss=True) as query:
            query.feed([line(1)])
            assert [row["hits"] for row in query.rows()] == [6]


@pytest.mark.spark
def test_purchases_of_any_age_are_in_all_their_windows(spark: SparkSession, tmp_path: Path) -> None:
    options = SellersOptions(api="structured", window="4s", slide="2s")
    minutes = [0, 10_000_000, -3, 5, 10_000_000, 5]
    expected: Counter[tuple[int, str]] = Counter()
    with RealBridge(tmp_path / "log") as bridge:
        for start in (0, 3):
            with JobQuery(spark, SELLERS, options, bridge, tmp_path / "job") as query:
                for minute in minutes[start : start + 3]:
                    second = 60 * minute + 1
                    sold = {"time": datetime.fromtimestamp(second, UTC).isoformat(), "item": "teapot", "units": 2}
                    query.feed([json.dumps(sold).encode()])
                    expected.update({(second + 1, "teapot"): 2, (second + 3, "teapot"): 2})
        found = {(round(row["window_end"].timestamp()), row["item"]): row["units"] for row in query.rows()}
        assert found == expected
        assert query.writer.tally.balanced
        assert query.rows()[0]["window_end"] - query.rows()[0]["window_start"] == timedelta(seconds=4)
