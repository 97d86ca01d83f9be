"""The Parquet files agree with the table after a batch, a close and a new start."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.dataset as ds
import pytest

from spark_job.errors import SinkError
from spark_job.sinks.counts_table.retention import Retention
from spark_job.sinks.counts_table.writer import CountsTable
from spark_job.sinks.parquet import ParquetSink
from tests.support.counts import MINUTE_US, NASTY_URLS, entry, store

if TYPE_CHECKING:
    from pathlib import Path


def parquet_rows(folder: Path) -> set[tuple[int, str, int]]:
    rows = ds.dataset(folder, format="parquet").to_table().to_pylist()
    return {(int(row["window_start"].timestamp() * 1_000_000) // MINUTE_US, row["url"], row["hits"]) for row in rows}


def test_parquet_has_a_file_for_each_window(tmp_path: Path) -> None:
    folder = tmp_path / "parquet"
    with CountsTable(tmp_path / "counts.db") as table:
        sink = ParquetSink(folder, table)
        sink.write(store(table, entry(0, 0, 3), [(0, "/a", 2), (1, "/a", 1)]))
        sink.write(store(table, entry(1, 3, 4), [(1, "/a", 1)]))
        sink.close()
    assert sorted(path.name for path in folder.iterdir()) == [
        "window-19700101T000000Z-19700101T000100Z.parquet",
        "window-19700101T000100Z-19700101T000200Z.parquet",
    ]
    assert parquet_rows(folder) == {(0, "/a", 2), (1, "/a", 2)}


def test_parquet_carries_any_url(tmp_path: Path) -> None:
    with CountsTable(tmp_path / "counts.db") as table:
        sink = ParquetSink(tmp_path / "parquet", table)
        sink.write(store(table, entry(0, 0, len(NASTY_URLS)), [(0, url, 1) for url in NASTY_URLS]))
    assert {url for _, url, _ in parquet_rows(tmp_path / "parquet")} == set(NASTY_URLS)


def test_a_new_start_heals_missing_stale_and_damaged_files(tmp_path: Path) -> None:
    folder = tmp_path / "parquet"
    with CountsTable(tmp_path / "counts.db") as table:
        sink = ParquetSink(folder, table)
        sink.write(store(table, entry(0, 0, 4), [(minute, "/a", 1) for minute in range(4)]))
        untouched, missing, damaged, _stale = sorted(folder.iterdir())
        store(table, entry(1, 4, 5), [(3, "/a", 1)])
        missing.unlink()
        damaged.write_bytes(b"")
        kept = untouched.stat().st_ino
        ParquetSink(folder, table).close()
        assert untouched.stat().st_ino == kept
    assert parquet_rows(folder) == {(0, "/a", 1), (1, "/a", 1), (2, "/a", 1), (3, "/a", 2)}


def test_archived_windows_keep_their_parquet_file(tmp_path: Path) -> None:
    folder = tmp_path / "parquet"
    with CountsTable(tmp_path / "counts.db", retention=Retention(max_rows=0)) as table:
        sink = ParquetSink(folder, table)
        sink.write(store(table, entry(0, 0, 1), [(0, "/a", 1)]))
        sink.write(store(table, entry(1, 1, 3), [(5, "/a", 2)]))
        sink.write(store(table, entry(2, 3, 3)))
        assert len(table.windows()) == 1
    assert parquet_rows(folder) == {(0, "/a", 1), (5, "/a", 2)}


def test_a_folder_that_cannot_be_made_is_a_sink_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        CountsTable(tmp_path / "counts.db") as table,
        pytest.raises(SinkError, match="cannot be made"),
    ):
        ParquetSink(tmp_path / "file" / "below", table)
