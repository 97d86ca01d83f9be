"""The example writes the counts of what a real bridge holds, and a repeated micro-batch changes nothing."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import pytest

from examples.custom_sink import CsvFolder, main
from tests.support.bridges import RealBridge
from tests.support.spark import spark

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

__all__ = ["spark"]

LINE = '192.0.2.1 - - [05/Jan/2015:08:%02d:00 +0000] "GET %s HTTP/1.1" 200 10 "-" "-"'


def rows_of(path: Path) -> list[tuple[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return [(row["url"], row["hits"]) for row in csv.DictReader(file)]


@pytest.mark.spark
def test_each_micro_batch_becomes_a_file(spark: SparkSession, tmp_path: Path) -> None:
    out = tmp_path / "counts"
    with RealBridge(tmp_path / "log") as bridge:
        bridge.extend([(LINE % (minute, "/a,b")).encode() for minute in range(4)] + [(LINE % (5, "/")).encode()])
        main([bridge.address, "--out", str(out)])
        assert rows_of(out / "00000000.csv") == [("/", "1"), ("/a,b", "4")]
        bridge.extend([(LINE % (30, "/")).encode()])
        main([bridge.address, "--out", str(out)])
    assert [rows_of(path) for path in sorted(out.glob("*.csv"))][1] == [("/", "2")]


@pytest.mark.spark
def test_a_repeated_micro_batch_replaces_its_own_file(spark: SparkSession, tmp_path: Path) -> None:
    sink = CsvFolder(tmp_path)
    for _ in range(2):
        sink(spark.createDataFrame([("/b", 1), ("/a", 2)], "url string, hits int"), 7)
    assert [path.name for path in tmp_path.iterdir()] == ["00000007.csv"]
    assert rows_of(tmp_path / "00000007.csv") == [("/a", "2"), ("/b", "1")]
