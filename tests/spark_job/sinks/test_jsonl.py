"""The file of JSON lines agrees with the table after a batch, a close and a new start."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from spark_job.sinks.counts_table.writer import CountsTable
from spark_job.sinks.jsonl import JsonLinesSink
from spark_job.sinks.throttle import PAUSE_PER_WORK
from tests.support.clock import Clock
from tests.support.counts import NASTY_URLS, entry, store

if TYPE_CHECKING:
    from pathlib import Path


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
        sink.write(store(table, entry(0, 0, len(NASTY_URLS)), [(0, url, 1) for url in NASTY_URLS]))
        sink.close()
    assert sorted(str(row["url"]) for row in read_jsonl(tmp_path / "out.jsonl")) == sorted(NASTY_URLS)


def test_a_costly_snapshot_is_put_off_and_written_without_another_batch(tmp_path: Path) -> None:
    clock = Clock(step_s=1.0)
    path = tmp_path / "out.jsonl"
    with CountsTable(tmp_path / "counts.db") as table:
        sink = JsonLinesSink(path, table, clock)
        sink.write(store(table, entry(0, 0, 1), [(0, "/a", 1)]))
        sink.write_if_due()
        assert read_jsonl(path) == [], "the last snapshot took a second, so the next one waits nine"
        clock.now_s += PAUSE_PER_WORK
        sink.write_if_due()
        assert [row["url"] for row in read_jsonl(path)] == ["/a"]
        sink.write(store(table, entry(1, 1, 2), [(0, "/b", 1)]))
        sink.write_if_due()
        assert [row["url"] for row in read_jsonl(path)] == ["/a"]
        sink.close()
        assert [row["url"] for row in read_jsonl(path)] == ["/a", "/b"]


def test_a_batch_never_waits_for_a_snapshot(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with CountsTable(tmp_path / "counts.db") as table:
        sink = JsonLinesSink(path, table, Clock(step_s=0.0))
        sink.write(store(table, entry(0, 0, 1), [(0, "/a", 1)]))
        assert read_jsonl(path) == [], "due, but not in the batch"
        sink.write_if_due()
        assert [row["hits"] for row in read_jsonl(path)] == [1]
        sink.close()


def test_a_snapshot_has_nothing_of_a_transaction_that_is_open(tmp_path: Path) -> None:
    path, clock = tmp_path / "out.jsonl", Clock(step_s=0.0)
    with CountsTable(tmp_path / "counts.db") as table:
        sink = JsonLinesSink(path, table, clock)
        sink.write(store(table, entry(0, 0, 1), [(0, "/a", 1)]))
        with table._transaction():
            table._db.execute("UPDATE counts SET hits = 99")
            sink.write_if_due()
        assert [row["hits"] for row in read_jsonl(path)] == [1]
        sink.close()


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
