"""Spark's checkpoint folder, read as Spark 4.3 writes it; anything else is an error."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from spark_job.accounting import spark_checkpoint
from spark_job.accounting.spark_checkpoint import Checkpoint, PlannedBatch
from spark_job.errors import AccountingError
from tests.spark_job.accounting.test_spark_checksums import sums_of


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


def write(path: Path, content: bytes = b"v1\n{}") -> None:
    """Write a file with its checksums, as Spark does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.with_name(f".{path.name}.crc").write_bytes(sums_of(content))


@pytest.fixture
def batches(checkpoint: Path) -> Path:
    """A checkpoint whose micro-batches 0 to 3 are planned and 0 to 2 are committed, with their states."""
    write(checkpoint / "metadata", b'{"id":"query-1"}')
    write(checkpoint / "state" / "0" / "_metadata" / "metadata")
    for number in range(4):
        write(checkpoint / "offsets" / str(number), b'v1\n{"batchWatermarkMs":0}\n{"a":1}')
        write(checkpoint / "state" / "0" / "0" / f"{number + 1}.delta")
    for number in range(3):
        write(checkpoint / "commits" / str(number), b'v1\n{"nextBatchWatermarkMs":0}')
    return checkpoint


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(("its_commit", "commits"), [(False, 1), (True, 0)])
def test_what_comes_after_a_batch_is_forgotten(batches: Path, *, its_commit: bool, commits: int) -> None:
    description = batches / "state" / "0" / "_stateSchema" / "default" / "3_a9b5"
    write(description)
    Checkpoint(batches).forget_after(1, its_commit=its_commit)
    assert names(batches / "offsets") == [".0.crc", ".1.crc", "0", "1"]
    assert names(batches / "commits") == [f".{n}.crc" for n in range(commits + 1)] + [
        str(n) for n in range(commits + 1)
    ]
    states = range(1, commits + 2)
    assert names(batches / "state" / "0" / "0") == [f".{n}.delta.crc" for n in states] + [f"{n}.delta" for n in states]
    assert Checkpoint(batches).query_id() == "query-1"
    assert description.exists()


def test_only_a_commit_that_can_be_read_counts(batches: Path) -> None:
    spark = Checkpoint(batches)
    assert [spark.is_committed(number) for number in (2, 3)] == [True, False]
    for text in ("", "v1\n{", "v2\n{}"):
        (batches / "commits" / "2").write_text(text)
        assert not spark.is_committed(2)


@pytest.mark.parametrize(
    ("name", "needed_to_repeat", "needed_to_go_on"),
    [
        ("metadata", True, True),
        ("offsets/1", True, True),
        ("offsets/2", True, True),
        ("offsets/3", False, False),
        ("commits/1", True, False),
        ("commits/2", False, True),
        ("state/0/0/2.delta", True, True),
        ("state/0/0/3.delta", False, True),
        ("state/0/0/4.delta", False, False),
        ("state/0/_metadata/metadata", True, True),
    ],
)
def test_only_files_that_spark_needs_must_be_intact(
    batches: Path, name: str, *, needed_to_repeat: bool, needed_to_go_on: bool
) -> None:
    spark = Checkpoint(batches)
    assert (spark.damaged(2, committed=False), spark.damaged(2, committed=True)) == ("", "")
    (batches / name).write_bytes(b"")
    assert (spark.damaged(2, committed=False) != "") is needed_to_repeat
    assert (spark.damaged(2, committed=True) != "") is needed_to_go_on


def test_files_are_synced_once(batches: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    sync = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(spark_checkpoint, "CLOCK_TOLERANCE_S", 0.0)
    time.sleep(0.05)  # the clock of the file system ticks in milliseconds
    spark = Checkpoint(batches)
    spark.sync()
    everything = {str(path) for path in (batches, *batches.rglob("*"))}
    assert set(synced) == everything
    synced.clear()
    time.sleep(0.05)
    write(batches / "commits" / "3")
    spark.sync()
    assert set(synced) == {str(batches / "commits" / name) for name in ("", "3", ".3.crc")}
    Checkpoint(batches / "none").sync()
