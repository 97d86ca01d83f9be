"""``progress.json``: every field, for both streaming APIs."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from spark_job.accounting.tally import Tally
from spark_job.errors import SinkError
from spark_job.runner.progress import NewestBatch, write_progress
from spark_job.sinks.counts_table.writer import CountsTable
from tests.support.counts import LOG, entry, store

if TYPE_CHECKING:
    from pathlib import Path

STORED_AT = datetime(2026, 1, 2, tzinfo=UTC)


def read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_bytes()))


def test_progress_is_told_in_full(tmp_path: Path) -> None:
    with CountsTable(tmp_path / "counts.db") as table:
        changed = store(table, entry(0, 0, 5), [(0, "/", 5)])
        newest = NewestBatch(changed.entry.batch_id, STORED_AT, 180_000)
        positions = table.positions()
    path = tmp_path / "progress.json"
    write_progress(
        path,
        "running",
        newest,
        checked_at=datetime(2026, 1, 3, tzinfo=UTC),
        positions=positions,
        tally=changed.tally,
        waiting=7,
        error="the disk is full",
    )
    told = read(path)
    assert told["state"] == "running"
    assert told["pid"] == os.getpid()
    assert told["checked_at"] == "2026-01-03T00:00:00Z"
    assert told["batch_at"] == "2026-01-02T00:00:00Z"
    assert told["batch_id"] == 0
    assert told["watermark"] == "1970-01-01T00:03:00Z"
    assert told["positions"] == {LOG: 5}
    assert told["tally"]["balanced"] is True
    assert (told["waiting"], told["error"], told["retry"]) == (7, "the disk is full", True)


def test_before_the_first_batch_there_is_only_a_heartbeat(tmp_path: Path) -> None:
    path = tmp_path / "progress.json"
    before = datetime.now(UTC).replace(microsecond=0)
    write_progress(path, "starting")
    told = read(path)
    assert told.keys() == {"state", "pid", "checked_at", "batch_at", "waiting", "error"}
    assert told["batch_at"] is None
    assert datetime.fromisoformat(told["checked_at"]) >= before


def test_a_batch_of_a_dstream_has_its_time_as_number_and_no_watermark(tmp_path: Path) -> None:
    path = tmp_path / "progress.json"
    write_progress(path, "running", NewestBatch(1_795_738_664_000, STORED_AT), positions={}, tally=Tally())
    assert read(path)["batch_id"] == 1_795_738_664_000
    assert read(path)["watermark"] is None


def test_a_folder_that_is_gone_is_a_sink_error(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"progress\.json: cannot be written"):
        write_progress(tmp_path / "gone" / "progress.json", "running")
