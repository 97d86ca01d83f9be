"""Spark's checkpoint folder, read as Spark 4.3 writes it; anything else is an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from spark_job.accounting.spark_checkpoint import Checkpoint, PlannedBatch
from spark_job.errors import AccountingError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A checkpoint of query ``query-1`` without a micro-batch."""
    folder = tmp_path / "checkpoint"
    (folder / "offsets").mkdir(parents=True)
    (folder / "metadata").write_text('{"id":"query-1"}')
    return folder


@pytest.mark.parametrize(
    "text", ["", "v2\n{}\n{}", 'v1\n{"batchWatermarkMs":0}', "v1\n{}\n{}", "v1\n[]\n{}", "v1\n{\n{}"]
)
def test_a_plan_in_another_form_is_an_error(checkpoint: Path, text: str) -> None:
    (checkpoint / "offsets" / "0").write_text(text)
    with pytest.raises(AccountingError, match="cannot read which events micro-batch 0 holds"):
        Checkpoint(checkpoint).planned(0)


def test_a_plan_that_is_gone_is_an_error(checkpoint: Path) -> None:
    with pytest.raises(AccountingError, match="offsets/0"):
        Checkpoint(checkpoint).planned(0)


def test_a_plan_gives_the_watermark_and_where_each_log_ends(checkpoint: Path) -> None:
    metadata = '{"batchWatermarkMs":42000,"batchTimestampMs":1,"conf":{}}'
    (checkpoint / "offsets" / "7").write_text(f'v1\n{metadata}\n{{"a":30,"b":0}}')
    assert Checkpoint(checkpoint).planned(7) == PlannedBatch(42_000, {"a": 30, "b": 0})


def test_a_source_without_an_offset_has_no_ends(checkpoint: Path) -> None:
    (checkpoint / "offsets" / "0").write_text('v1\n{"batchWatermarkMs":0}\n-')
    assert Checkpoint(checkpoint).planned(0) == PlannedBatch(0, {})


def test_a_checkpoint_tells_its_query_and_its_newest_commit(checkpoint: Path, tmp_path: Path) -> None:
    spark = Checkpoint(checkpoint)
    assert spark.query_id() == "query-1"
    assert spark.newest_committed() is None
    (checkpoint / "commits").mkdir()
    for name in ("9", "10", "10.tmp", ".11.crc"):
        (checkpoint / "commits" / name).touch()
    assert spark.newest_committed() == 10
    assert Checkpoint(tmp_path / "none").query_id() is None
    (checkpoint / "metadata").write_text("{}")
    with pytest.raises(AccountingError, match="no query id"):
        spark.query_id()
