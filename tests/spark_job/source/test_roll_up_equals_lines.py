"""Counting in the reader changes nothing: windows, watermark and late lines are those of single lines."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from spark_job.windows import count_urls, pane
from tests.support.bridges import RealBridge

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

pytestmark = [pytest.mark.spark, pytest.mark.slow]

WINDOW, SLIDE, WATERMARK = timedelta(minutes=2), timedelta(minutes=1), timedelta(seconds=20)
EVENTS = 500
EVENTS_PER_BATCH = 100
DISORDER_S = 150
QUERY_TIMEOUT_S = 180
MALFORMED_EVERY = 97

Windows = dict[tuple[datetime, str], tuple[int, int, int]]


def out_of_order_lines(seed: int) -> list[bytes]:
    """Return lines that go forward about a second each, and step back up to ``DISORDER_S`` seconds now and then."""
    draw = random.Random(seed)  # noqa: S311 -- no secret
    began = datetime(2024, 5, 1, 12, tzinfo=UTC)
    lines = []
    for number in range(EVENTS):
        late_s = draw.randrange(DISORDER_S) if draw.random() < 0.2 else 0
        time = began + timedelta(seconds=number - late_s)
        url, status, size = f"/{draw.randrange(6)}", draw.choice([200, 200, 404, 503]), draw.randrange(1000)
        line = f'1.2.3.4 - - [{time:%d/%b/%Y:%H:%M:%S +0000}] "GET {url} HTTP/1.1" {status} {size} "-" "agent"'
        lines.append(line[:40].encode() if number % MALFORMED_EVERY == 0 else line.encode())
    return lines


def count(spark: SparkSession, bridge: RealBridge, folder: Path, **options: str) -> list[Windows]:
    """Return the changed windows of each batch."""
    batches: list[Windows] = []

    def keep(rows: DataFrame, batch_id: int) -> None:
        collected = rows.collect()
        assert batch_id == len(batches)
        batches.append({(row.window_start, row.url): (row.hits, row.bytes, row.errors) for row in collected})

    source = spark.readStream.format("access_log").options(
        bridges=bridge.address, consumer=folder.name, maxEventsPerTrigger=str(EVENTS_PER_BATCH), **options
    )
    query = (
        count_urls(source.load(), WINDOW, SLIDE, WATERMARK)
        .writeStream.outputMode("update")
        .foreachBatch(keep)
        .option("checkpointLocation", str(folder))
        .trigger(availableNow=True)
        .start()
    )
    try:
        assert query.awaitTermination(QUERY_TIMEOUT_S), "the query did not end"
    finally:
        query.stop()
    return batches


def test_roll_up_and_lines_give_the_same_windows_in_every_batch(spark: SparkSession, tmp_path: Path) -> None:
    lines = out_of_order_lines(seed=7)
    audit = tmp_path / "audit"
    with RealBridge(tmp_path / "log") as bridge:
        bridge.extend(lines)
        by_lines = count(spark, bridge, tmp_path / "lines")
        pane_text = f"{pane(WINDOW, SLIDE) // timedelta(seconds=1)}s"
        by_sums = count(spark, bridge, tmp_path / "sums", rollup=pane_text, audit=str(audit), minPartitions="2")
    assert len(by_lines) == EVENTS // EVENTS_PER_BATCH
    assert by_sums == by_lines
    table: Windows = {}
    for batch in by_sums:
        table |= batch
    malformed = -(-EVENTS // MALFORMED_EVERY)
    windows_per_line = WINDOW // SLIDE
    hits = sum(hits for hits, _, _ in table.values())
    assert 0 < hits < (EVENTS - malformed) * windows_per_line, "some lines must come late, or nothing is shown"
    check_audit(audit / bridge.log_id, malformed)


def check_audit(folder: Path, malformed: int) -> None:
    records: list[dict[str, Any]] = [json.loads(path.read_bytes()) for path in folder.rglob("*.json")]
    assert len(records) == 2 * EVENTS // EVENTS_PER_BATCH
    assert sum(record["events"] for record in records) == EVENTS
    assert sum(record["malformed"] for record in records) == malformed
    assert sum(sum(record["panes"].values()) for record in records) == EVENTS - malformed
    letters = [text for path in folder.rglob("*.malformed.jsonl") for text in path.read_text().splitlines()]
    assert sorted(json.loads(text)["offset"] for text in letters) == list(range(0, EVENTS, MALFORMED_EVERY))
