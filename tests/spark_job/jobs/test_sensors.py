"""Sensors: known sums, one alarm a silence however the stream is cut, state that outlives restarts, late readings."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from spark_job.jobs.sensors import JOB, SensorsOptions
from tests.support.bridges import RealBridge
from tests.support.counting import forget_newest_commit
from tests.support.jobs import JobQuery, run_over

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyspark.sql import SparkSession

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
OPTIONS = SensorsOptions(window=timedelta(minutes=1), silence=3, watermark=timedelta(seconds=30))

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[RealBridge]:
    with RealBridge(tmp_path / "log") as opened:
        yield opened


def reading(device: str, second: int, value: float) -> bytes:
    return json.dumps({"device": device, "time": second, "value": value}).encode()


def minutes(rows: list[dict[str, Any]]) -> dict[tuple[str, int], tuple[Any, ...]]:
    """Return (device, minute) to (readings, minimum, maximum, mean), or to how many minutes it was silent."""
    return {
        (row["device"], int((row["window_start"] - EPOCH).total_seconds()) // 60): (
            ("silent", (row["window_end"] - row["window_start"]) // timedelta(minutes=1))
            if row["silent"]
            else (row["readings"], row["minimum"], row["maximum"], row["mean"])
        )
        for row in rows
    }


READINGS = [
    *(reading("a", second, second % 4) for second in range(0, 40, 10)),
    reading("b", 30, -1.5),
    *(reading("a", second, second % 4) for second in range(40, 120, 10)),
    b'{"device": "a", "time": 5}',
    b"21.5",
    # Device a is silent from minute 2 to minute 7, b from minute 1 on.
    *(reading("a", 480 + second, 8.25) for second in (0, 1, 59)),
    # One missing minute, and two, are no silence.
    reading("a", 600, 1),
    reading("a", 780, 2),
    reading("c", 800, 3),
]
EXPECTED = {
    ("a", 0): (6, 0.0, 2.0, 1.0),
    ("a", 1): (6, 0.0, 2.0, 1.0),
    ("a", 2): ("silent", 3),
    ("a", 8): (3, 8.25, 8.25, 8.25),
    ("a", 10): (1, 1.0, 1.0, 1.0),
    ("a", 13): (1, 2.0, 2.0, 2.0),
    ("b", 0): (1, -1.5, -1.5, -1.5),
    ("b", 1): ("silent", 3),
    ("c", 13): (1, 3.0, 3.0, 3.0),
}


def test_a_range_has_known_sums_and_silences(spark: SparkSession, bridge: RealBridge, tmp_path: Path) -> None:
    bridge.extend(READINGS)
    rows, tally = run_over(spark, JOB, OPTIONS, bridge, tmp_path / "job")
    assert minutes(rows) == EXPECTED
    assert str(tally) == "lines read 21 = counted 19 + malformed 2 + late 0"
    letters = [path.read_text() for path in (tmp_path / "job" / "dead-letters").rglob("*.jsonl")]
    assert sorted(json.loads(text)["error"] for text in "".join(letters).splitlines()) == [
        "a field is missing: value",
        "not a JSON object",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("cut", [len(READINGS), 4])
def test_a_stream_gives_the_same_rows_however_it_is_cut(
    spark: SparkSession, bridge: RealBridge, tmp_path: Path, cut: int
) -> None:
    with JobQuery(spark, JOB, OPTIONS, bridge, tmp_path / "job") as query:
        for start in range(0, len(READINGS), cut):
            query.feed(READINGS[start : start + cut])
        # Time goes on, by the readings of another device, until all windows of interest are closed.
        query.feed([reading("clock", 870 + 30, 0)])
        found = minutes(query.rows())
        tally = query.writer.finish()
    assert {key: value for key, value in found.items() if key[0] != "clock"} == EXPECTED
    assert tally.balanced
    assert (tally.read, tally.malformed, tally.late) == (22, 2, 0)


@pytest.mark.slow
def test_timers_and_states_outlive_restarts_and_an_alarm_is_raised_once(
    spark: SparkSession, bridge: RealBridge, tmp_path: Path
) -> None:
    folder = tmp_path / "job"
    with JobQuery(spark, JOB, OPTIONS, bridge, folder) as query:
        query.feed([reading("a", 0, 1), reading("b", 0, 1)])
        query.feed([reading("b", 100, 1)])
        assert minutes(query.rows()) == {("a", 0): (1, 1, 1, 1), ("b", 0): (1, 1, 1, 1)}
    with JobQuery(spark, JOB, OPTIONS, bridge, folder) as query:
        # The timer of a was set by the process before; that of b was not due yet.
        query.feed([reading("b", 285, 1)])
        alarmed = {("a", 1): ("silent", 3)}
        assert alarmed.items() <= minutes(query.rows()).items()
    forget_newest_commit(folder)
    with JobQuery(spark, JOB, OPTIONS, bridge, folder) as query:
        query.query.processAllAvailable()
        query.feed([reading("a", 400, 2), reading("b", 1000, 1)])
        query.feed([reading("b", 1001, 1)])
        found = minutes(query.rows())
    silences = {key: value for key, value in found.items() if value[0] == "silent"}
    assert silences == alarmed | {("a", 7): ("silent", 3), ("b", 5): ("silent", 3)}


@pytest.mark.slow
def test_late_readings_are_counted_as_such(spark: SparkSession, bridge: RealBridge, tmp_path: Path) -> None:
    with JobQuery(spark, JOB, OPTIONS, bridge, tmp_path / "job") as query:
        query.feed([reading("a", 200, 1)])
        query.feed([reading("a", 201, 1)])
        # The watermark is at 2:51: minutes 0 and 1 are closed, minute 2 is not.
        query.feed([reading("a", 59, 9), reading("a", 119, 9), reading("a", 120, 5)])
        query.feed([reading("a", 600, 1)])
        query.feed([reading("a", 601, 1)])
        assert minutes(query.rows())["a", 2] == (1, 5.0, 5.0, 5.0)
        tally = query.writer.finish()
    assert str(tally) == "lines read 7 = counted 3 + malformed 0 + late 2 + open 2"
