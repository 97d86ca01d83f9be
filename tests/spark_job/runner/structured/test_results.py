"""Results of a structured job: one number a batch, files and databases that agree with the table."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from spark_job.accounting.tally import Tally
from spark_job.runner.structured.results import ResultStore, numbered
from spark_job.sinks.database import parse_database_url, read_rows
from spark_job.sinks.sink_spec import parse_sink

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SCHEMA = pa.schema([("url", pa.string()), ("hits", pa.int64())])


def rows(**hits: int) -> pa.Table:
    return pa.table({"url": list(hits), "hits": list(hits.values())}, schema=SCHEMA)


def store(folder: Path, *sinks: str, **more: Any) -> ResultStore:
    given: dict[str, Any] = {"counted": "hits", "top": 2, **more}
    return ResultStore(folder, "by-url", SCHEMA, ("url",), [parse_sink(each) for each in sinks], **given)


def table(url: str) -> dict[str, int]:
    return {row["url"]: row["hits"] for row in read_rows(parse_database_url(url), "by_url")}


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


class Clock:
    """Time that passes by a given step at each look."""

    def __init__(self, step_s: float) -> None:
        self.now_s = 0.0
        self.step_s = step_s

    def __call__(self) -> float:
        self.now_s += self.step_s
        return self.now_s


def test_a_batch_is_stored_once_under_its_number(tmp_path: Path) -> None:
    with store(tmp_path) as results:
        results.store(rows(a=1, b=2), query_id="q", batch_id=0)
        results.store(rows(a=99), query_id="q", batch_id=0)
        assert list(results.rows()) == [{"url": "a", "hits": 1}, {"url": "b", "hits": 2}]
        results.store(rows(a=5), query_id="q", batch_id=1, replace=True)
        assert results.counted(now=True) == 5
    assert table(f"sqlite:///{tmp_path / 'counts.db'}") == {"a": 5}


def test_a_database_that_was_added_later_gets_everything(tmp_path: Path) -> None:
    with store(tmp_path) as results:
        results.store(rows(a=1, b=2), query_id="q", batch_id=0)
        results.store(rows(b=3), query_id="q", batch_id=1)
    url = f"sqlite:///{tmp_path / 'copy.db'}"
    with store(tmp_path, databases=[parse_database_url(url)]) as results:
        results.catch_up("q", 1)
        assert table(url) == {"a": 1, "b": 3}
        results.store(rows(b=99), query_id="q", batch_id=1)
        results.store(rows(c=7), query_id="q", batch_id=2)
    assert table(url) == {"a": 1, "b": 3, "c": 7}


def test_the_file_and_the_console_show_rows_by_key_without_their_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.jsonl"
    schema = numbered(SCHEMA.empty_table(), 0).schema
    sinks = [parse_sink("console"), parse_sink(f"jsonl:{out}")]
    with ResultStore(tmp_path, "by-url", schema, ("row",), sinks, top=2, counted="") as results:
        shown = numbered(rows(z=1, a=2, m=3), 7)
        results.store(shown, query_id="q")
        results.show(shown, Tally(read=6, hits=6))
        assert results.counted(now=True) is None
    assert lines_of(out) == [
        {"url": "z", "hits": 1},
        {"url": "a", "hits": 2},
        {"url": "m", "hits": 3},
    ]
    assert capsys.readouterr().out == (
        "url  hits\nz    1\na    2\nand 1 more rows\nlines read 6 = counted 6 + malformed 0 + late 0\n\n"
    )


def test_the_number_of_lines_may_be_old_but_not_when_it_is_needed_now(tmp_path: Path) -> None:
    with store(tmp_path, clock=Clock(step_s=1.0)) as results:
        results.store(rows(a=1), query_id="q", batch_id=0)
        assert results.count_is_old
        assert (results.counted(now=False), results.count_is_old) == (1, False)
        results.store(rows(a=4), query_id="q", batch_id=1)
        rested = (results.counted(now=False), results.count_is_old)
        assert rested == (1, True), "counting took a second, so it rests for nine"
        assert (results.counted(now=True), results.count_is_old) == (4, False)


def test_a_snapshot_that_is_put_off_is_written_without_another_batch(tmp_path: Path) -> None:
    out, clock = tmp_path / "out.jsonl", Clock(step_s=1.0)
    with store(tmp_path, f"jsonl:{out}", clock=clock) as results:
        results.store(rows(a=1), query_id="q", batch_id=0)
        results.show(rows(a=1), Tally(read=1, hits=1))
        assert not out.exists(), "no batch waits for a snapshot"
        results.write_if_due()
        assert lines_of(out) == [{"url": "a", "hits": 1}]
        results.store(rows(b=1), query_id="q", batch_id=1)
        results.show(rows(b=1), Tally(read=2, hits=2))
        results.write_if_due()
        assert lines_of(out) == [{"url": "a", "hits": 1}], "put off"
        clock.now_s += 10
        results.write_if_due()
        assert lines_of(out) == [{"url": "a", "hits": 1}, {"url": "b", "hits": 1}]


def test_a_snapshot_and_a_transaction_do_not_wait_for_each_other(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with store(tmp_path, f"jsonl:{out}") as results:
        results.store(rows(a=1, b=1), query_id="q", batch_id=0)
        found = results.rows()
        assert next(found) == {"url": "a", "hits": 1}
        results.store(rows(b=2), query_id="q", batch_id=1)
        assert list(found) == [{"url": "b", "hits": 1}], "one consistent state"
        with results._embedded._engine.begin() as connection:
            connection.exec_driver_sql("UPDATE by_url SET hits = 99")
            results.write_if_due()
            connection.rollback()
    assert lines_of(out) == [{"url": "a", "hits": 1}, {"url": "b", "hits": 2}]


def test_numbers_go_on_from_the_first() -> None:
    assert numbered(rows(a=1, b=1), 40).column("row").to_pylist() == [40, 41]
