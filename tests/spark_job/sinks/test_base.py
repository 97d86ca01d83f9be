"""Contract of all sinks: after a repeated batch, a restart and a close, they hold what the results table holds."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow.dataset as ds
import pytest

from spark_job.sinks.counts_table.writer import CountsTable
from spark_job.sinks.database import parse_database_url, read_rows
from spark_job.sinks.sink_spec import parse_sink
from tests.support.counts import entry, store

if TYPE_CHECKING:
    from pathlib import Path

    from spark_job.sinks.base import Sink

Found = set[tuple[datetime, datetime, str, int, int, int]]


def words(folder: Path) -> dict[str, str]:
    """Return the value of ``--sink`` for each sink that keeps the counts."""
    return {
        "jsonl": f"jsonl:{folder}/counts.jsonl",
        "parquet": f"parquet:{folder}/parquet",
        "sqlite": f"sqlite:///{folder}/copy.db",
    }


def opened(kind: str, folder: Path, table: CountsTable) -> Sink:
    return parse_sink(words(folder)[kind]).open(table, top=3, password_file=None, retry_for=timedelta(0))


def found(kind: str, folder: Path) -> Found:
    """Return the rows that a sink has written."""
    rows: list[dict[str, Any]]
    if kind == "jsonl":
        rows = [json.loads(line) for line in (folder / "counts.jsonl").read_text("ascii").splitlines()]
        for row in rows:
            row |= {name: datetime.fromisoformat(row[name]) for name in ("window_start", "window_end")}
    elif kind == "parquet":
        rows = ds.dataset(folder / "parquet", format="parquet").to_table().to_pylist()
    else:
        rows = list(read_rows(parse_database_url(words(folder)[kind]), "url_counts"))
    listed = [
        (row["window_start"], row["window_end"], row["url"], row["hits"], row["bytes"], row["errors"]) for row in rows
    ]
    assert len(set(listed)) == len(listed), "a row came twice"
    return set(listed)


def kept(table: CountsTable) -> Found:
    return {(window.start, window.end, *count) for window, count in table.rows()}


@pytest.fixture(params=["jsonl", "parquet", "sqlite"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_repeated_batch_leads_to_the_same_result(kind: str, tmp_path: Path) -> None:
    with CountsTable(tmp_path / "counts.db") as table:
        sink = opened(kind, tmp_path, table)
        sink.write(store(table, entry(0, 0, 3), [(0, "/a", 2), (0, "/missing", 1)]))
        second = store(table, entry(1, 3, 6), [(0, "/a", 1), (1, "/b", 2)])
        sink.write(second)
        sink.write(second)
        sink.close()
        expected = kept(table)
    assert len(expected) == 3
    assert found(kind, tmp_path) == expected


def test_an_older_batch_after_a_restart_does_not_bring_back_old_counts(kind: str, tmp_path: Path) -> None:
    with CountsTable(tmp_path / "counts.db") as table:
        first = store(table, entry(0, 0, 3), [(0, "/a", 3)])
        sink = opened(kind, tmp_path, table)
        sink.write(first)
        sink.close()
        store(table, entry(1, 3, 7), [(0, "/a", 4)])
        restarted = opened(kind, tmp_path, table)
        restarted.close()
        assert {row[3] for row in found(kind, tmp_path)} == {7}


def test_a_sink_without_a_batch_takes_over_what_the_table_holds(kind: str, tmp_path: Path) -> None:
    with CountsTable(tmp_path / "counts.db") as table:
        store(table, entry(0, 0, 4), [(0, "/a", 1), (5, "/b", 3)])
        opened(kind, tmp_path, table).close()
        assert found(kind, tmp_path) == kept(table)


def test_a_changed_batch_carries_absolute_counts_and_all_of_the_table(tmp_path: Path) -> None:
    with CountsTable(tmp_path / "counts.db") as table:
        store(table, entry(0, 0, 4), [(0, "/a", 3), (1, "/b", 1)])
        changed = store(table, entry(1, 4, 5), [(0, "/a", 1)])
        assert changed.table.changed_rows().column("hits").to_pylist() == [4]
        assert [window.start_us for window in changed.windows] == [0]
        assert (changed.tally.read, changed.tally.hits, changed.tally.balanced) == (5, 5, True)
        assert len(list(changed.table.rows())) == 2
