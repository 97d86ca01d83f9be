"""The job top-sellers: both APIs have the known answer in every window, and so they agree."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from spark_job.jobs import top_sellers
from spark_job.jobs.top_sellers import SellersOptions
from spark_job.runner.job_settings import JobSettings
from tests.support.bridges import RealBridge
from tests.support.streams import SteppedStreams

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession


def purchase(second: float, item: str, units: int) -> bytes:
    time = datetime.fromtimestamp(second, UTC).isoformat()
    return json.dumps({"time": time, "item": item, "units": units, "shop": "any"}).encode()


@pytest.mark.spark
def test_top_sellers_agree_in_every_window(spark: SparkSession, tmp_path: Path) -> None:
    # An event in the middle of a second is in the batch at the end of that second.
    sales = [(second - 0.5, f"item {(second * k) % 4}", k) for second in range(1, 11) for k in range(1, second + 2)]
    options = SellersOptions(window="4s", slide="2s")
    expected: dict[int, Counter[str]] = defaultdict(Counter)
    for second, item, units in sales:
        for end in range(2, 11, 2):
            if end - 4 < second < end:
                expected[end][item] += units
    with RealBridge(tmp_path / "log") as bridge:
        with SteppedStreams(spark, top_sellers.JOB.dstream, options, bridge.address, tmp_path / "job") as streams:
            for end in range(1, 11):
                bridge.extend([purchase(*sale) for sale in sales if end - 1 < sale[0] < end] + [b"{}"])
                streams.step()
            classic = {time: {item: row[0] for item, row in rows.items()} for time, rows in streams.by_time().items()}
            assert streams.tally.malformed == 10
        fields = ", ".join(f"{name} {kind}" for name, kind in top_sellers.FIELDS.items())
        events = (
            spark.read.format("json_events").options(bridges=bridge.address, fields=fields, timeField="time").load()
        )
        rows = top_sellers.JOB.structured.rows(events.where("error IS NULL"), options).collect()
    structured: dict[int, dict[str, int]] = defaultdict(dict)
    for row in rows:
        structured[int(row.window_end.replace(tzinfo=UTC).timestamp())][row["item"]] = row.units
    assert classic == expected
    assert {end: structured[end] for end in expected} == expected


def test_the_hour_slides_by_the_batch_or_by_the_minute() -> None:
    options = SellersOptions()
    assert options.intervals.slide == timedelta(seconds=1)
    assert options.windows.slide == timedelta(minutes=1)
    checked: list[Any] = [JobSettings().of_job("top-sellers"), SellersOptions(api="structured")]
    top_sellers.JOB.check(*checked)
