"""The files agree with the table after a batch, a close and a new start; a reader never sees half of one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pyarrow.dataset as ds
import pytest

from headrace.common.files import replacing
from spark_job.errors import SinkError, sink_errors
from spark_job.sinks.counts_table.writer import CountsTable, Retention
from spark_job.sinks.jsonl import REST_PER_WORK, JsonLinesSink
from spark_job.sinks.parquet import ParquetSink
from tests.support.counts import MINUTE_US, entry, store

if TYPE_CHECKING:
    from pathlib import Path

NASTY = [
    '/"quoted"',
    "/back\\slash",
    "/new\nline",
    "/\x00\x1b[2J",
    "/\u2028\u202e",
    "/世界",
    "",
    "/'; DROP TABLE counts",
]


class Clock:
    """Time that passes by a given step at each look."""

    def __init__(self, step_s: float) -> None:
        self.now_s = 0.0
        self.step_s = step_s

    def __call__(self) -> float:
        self.now_s += self.step_s
        return self.now_s


def read_jsonl(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]


def test_json_lines_have_a_row_for_each_window_and_url(tmp_path: Path) -> None:
    with CountsTable(tmp_path / "counts.db") as table:
        sink = JsonLinesSink(tmp_path / "out.jsonl", table)
        assert read_jsonl(tmp_path / "out.jsonl") == []
        sink.write(store(table, entry(0, 0, 6), [(61, "/b", 1), (61, "/missing", 3), (0, "/a", 2)]))
        sink.close()
    assert (tmp_path / "out.jsonl").read_bytes().decode() == (
        '{"window_start": "1970-01-01T00:00:00Z", "window_end": "1970-01-01T00:01:00Z", "url": "/a", "hits": 2,'
        ' "bytes": 200, "errors": 0}\n'
        '{"window_start": "1970-01-01T01:01:00Z", "window_end": "1970-01-01T01:02:00Z", "url": "/missing", "hits": 3,'
        ' "bytes": 300, "errors": 3}\n'
        '{"window_start": "1970-01-01T01:01:00Z", "window_end": "1970-01-01T01:02:00Z", "url": "/b", "hits": 1,'
        ' "bytes": 100, "errors": 0}\n'
    )


def test_json_lines_carry_any_url_in_ascii(tmp_path: Path) -> None:
    with CountsTable(tmp_path / "counts.db") as table:
        sink = JsonLinesSink(tmp_path / "out.jsonl", table)
        sink.write(store(table, entry(0, 0, len(NASTY)), [(0, url, 1) for url in NASTY]))
        sink.close()
    assert sorted(str(row["url"]) for row in read_jsonl(tmp_path / "out.jsonl")) == sorted(NASTY)


def test_a_costly_snapshot_is_put_off_and_written_at_the_end(tmp_path: Path) -> None:
    clock = Clock(step_s=1.0)
    path = tmp_path / "out.jsonl"
    with CountsTable(tmp_path / "counts.db") as table:
        sink = JsonLinesSink(path, table, clock)
        sink.write(store(table, entry(0, 0, 1), [(0, "/a", 1)]))
        assert read_jsonl(path) == [], "the last snapshot took a second, so the next one waits nine"
        clock.now_s += REST_PER_WORK
        sink.write(store(table, entry(1, 1, 2), [(0, "/a", 2)]))
        assert [row["hits"] for row in read_jsonl(path)] == [2]
        sink.write(store(table, entry(2, 2, 3), [(0, "/a", 3)]))
        assert [row["hits"] for row in read_jsonl(path)] == [2]
        sink.close()
        assert [row["hits"] for row in read_jsonl(path)] == [3]


def test_a_batch_that_changes_nothing_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with CountsTable(tmp_path / "counts.db") as table:
        sink = JsonLinesSink(path, table, Clock(step_s=0.0))
        before = path.stat().st_ino
        sink.write(store(table, entry(0, 0, 1, malformed=1)))
        sink.close()
        assert path.stat().st_ino == before


def test_a_new_start_makes_the_snapshot_exact(tmp_path: Path) -> None:
    with CountsTable(tmp_path / "counts.db") as table:
        store(table, entry(0, 0, 1), [(0, "/a", 1)])
        (tmp_path / "out.jsonl").write_text("from before a kill\n")
        JsonLinesSink(tmp_path / "out.jsonl", table).close()
    assert [row["url"] for row in read_jsonl(tmp_path / "out.jsonl")] == ["/a"]


def parquet_rows(folder: Path) -> set[tuple[int, str, int]]:
    rows = ds.dataset(folder, format="parquet").to_table().to_pylist()
    return {(int(row["window_start"].timestamp() * 1_000_000) // MINUTE_US, row["url"], row["hits"]) for row in rows}


def test_parquet_has_a_file_for_each_window(tmp_path: Path) -> None:
    folder = tmp_path / "parquet"
    with CountsTable(tmp_path / "counts.db") as table:
        sink = ParquetSink(folder, table)
        sink.write(store(table, entry(0, 0, 3), [(0, "/a", 2), (1, "/a", 1)]))
        sink.write(store(table, entry(1, 3, 4), [(1, "/a", 2)]))
        sink.close()
    assert sorted(path.name for path in folder.iterdir()) == [
        "window-19700101T000000Z-19700101T000100Z.parquet",
        "window-19700101T000100Z-19700101T000200Z.parquet",
    ]
    assert parquet_rows(folder) == {(0, "/a", 2), (1, "/a", 2)}


def test_parquet_carries_any_url(tmp_path: Path) -> None:
    with CountsTable(tmp_path / "counts.db") as table:
        sink = ParquetSink(tmp_path / "parquet", table)
        sink.write(store(table, entry(0, 0, len(NASTY)), [(0, url, 1) for url in NASTY]))
    assert {url for _, url, _ in parquet_rows(tmp_path / "parquet")} == set(NASTY)


def test_a_new_start_heals_missing_stale_and_damaged_files(tmp_path: Path) -> None:
    folder = tmp_path / "parquet"
    with CountsTable(tmp_path / "counts.db") as table:
        sink = ParquetSink(folder, table)
        sink.write(store(table, entry(0, 0, 4), [(minute, "/a", 1) for minute in range(4)]))
        untouched, missing, damaged, _stale = sorted(folder.iterdir())
        store(table, entry(1, 4, 5), [(3, "/a", 2)])
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
        sink.write(store(table, entry(1, 1, 3, closed_minute=1), [(5, "/a", 2)]))
        assert len(table.windows()) == 1
    assert parquet_rows(folder) == {(0, "/a", 1), (5, "/a", 2)}


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(TypeError), replacing(path) as file:
        file.writelines([b"half", "not bytes"])  # type: ignore[list-item]  # an error in the middle of writing
    assert path.read_bytes() == b"old"
    with replacing(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_a_sink_error(tmp_path: Path) -> None:
    with (
        pytest.raises(SinkError, match="none/file: cannot be written: No such file"),
        sink_errors(tmp_path / "none" / "file"),
        replacing(tmp_path / "none" / "file"),
    ):
        pass
    (tmp_path / "file").touch()
    with (
        CountsTable(tmp_path / "counts.db") as table,
        pytest.raises(SinkError, match="cannot be made"),
    ):
        ParquetSink(tmp_path / "file" / "below", table)
