"""Results of a structured job: one number a batch, files and databases that agree with the table."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pyarrow as pa
import pytest

from spark_job.accounting.tally import Tally
from spark_job.errors import OptionError
from spark_job.runner.results.row_results import RowResults
from spark_job.runner.results.shape import ResultShape, numbered
from spark_job.sinks.database import parse_database_url, read_rows
from spark_job.sinks.sink_spec import parse_sink
from tests.support.clock import Clock
from tests.support.counts import entry

if TYPE_CHECKING:
    from pathlib import Path

    from spark_job.accounting.ledger import LedgerEntry

SCHEMA = pa.schema([("url", pa.string()), ("hits", pa.int64())])


def rows(**hits: int) -> pa.Table:
    return pa.table({"url": list(hits), "hits": list(hits.values())}, schema=SCHEMA)


def batch(batch_id: int, lines: int = 1) -> LedgerEntry:
    """Return the entry of a batch; all of them but the first one read no line."""
    return entry(batch_id, 0, lines if batch_id == 0 else 0)


def store(folder: Path, *sinks: str, **more: Any) -> RowResults:
    given: dict[str, Any] = {"counted": "hits", "top": 2, **more}
    shape = ResultShape(("url",), given.pop("mode", "update"))
    return RowResults(folder, "by-url", SCHEMA, shape, [parse_sink(each) for each in sinks], **given)


def run(results: RowResults, each: LedgerEntry, changed: pa.Table) -> None:
    """Do with a batch what the batch function does: store it, then show it."""
    results.record(each, changed)(results.tally())


def table(url: str) -> dict[str, int]:
    return {row["url"]: row["hits"] for row in read_rows(parse_database_url(url), "by_url")}


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_batch_is_stored_once_under_its_number(tmp_path: Path) -> None:
    with store(tmp_path) as results:
        run(results, batch(0), rows(a=1, b=2))
        run(results, batch(0), rows(a=99))
        assert list(results.rows()) == [{"url": "a", "hits": 1}, {"url": "b", "hits": 2}]
    with store(tmp_path, mode="complete") as results:
        run(results, batch(1), rows(a=5))
        assert results.counted(now=True) == 5
    assert table(f"sqlite:///{tmp_path / 'counts.db'}") == {"a": 5}


def test_a_database_that_was_added_later_gets_everything(tmp_path: Path) -> None:
    with store(tmp_path) as results:
        run(results, batch(0), rows(a=1, b=2))
        run(results, batch(1), rows(b=3))
    url = f"sqlite:///{tmp_path / 'copy.db'}"
    with store(tmp_path, databases=[parse_database_url(url)]) as results:
        results.catch_up()
        assert table(url) == {"a": 1, "b": 3}
        run(results, batch(1), rows(b=99))
        run(results, batch(2), rows(c=7))
    assert table(url) == {"a": 1, "b": 3, "c": 7}


def test_a_database_that_another_job_fills_is_refused_or_adopted(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    shared = {"databases": [parse_database_url(url)]}
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    with store(tmp_path / "old", **shared) as old:
        run(old, batch(0), rows(a=1000))
        with (
            store(tmp_path / "new", **shared) as new,
            pytest.raises(OptionError, match=f"the table by_url belongs to .* {old.table.table_id()}"),
        ):
            new.catch_up()
        assert table(url) == {"a": 1000}
        with store(tmp_path / "new", **shared, adopt=True) as new:
            new.catch_up()
            run(new, batch(0), rows(a=7))
        with pytest.raises(OptionError, match=f"the table by_url belongs to .* {new_id(tmp_path)}"):
            run(old, batch(1), rows(a=1001))
    with store(tmp_path / "new", **shared) as new:
        new.catch_up()
        run(new, batch(1), rows(b=1))
    assert table(url) == {"a": 7, "b": 1}


def new_id(folder: Path) -> str:
    with store(folder / "new") as results:
        return results.table.table_id()


def test_a_database_that_is_added_later_is_not_filled_over_the_rows_of_another_job(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    with store(tmp_path / "new") as new:
        run(new, batch(0), rows(a=7))
    shared = {"databases": [parse_database_url(url)]}
    with store(tmp_path / "new", **shared) as new, store(tmp_path / "old", **shared) as old:
        run(old, batch(0), rows(a=1000))
        with pytest.raises(OptionError, match=f"belongs to .* {old.table.table_id()}"):
            new.catch_up()
    assert table(url) == {"a": 1000}


def test_the_result_of_a_bounded_run_replaces_that_of_an_earlier_one(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'copy.db'}"
    for found in (rows(a=1, b=2), rows(b=3)):
        with store(tmp_path, databases=[parse_database_url(url)]) as results:
            results.replace_all(found)
            expected = dict(zip(*found.to_pydict().values(), strict=True))
            assert (table(url), results.counted(now=True)) == (expected, 3)


def test_rows_that_the_table_does_not_have_leave_a_database_of_a_complete_result(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'copy.db'}"
    shared = {"mode": "complete", "databases": [parse_database_url(url)]}
    with store(tmp_path, **shared) as results:
        run(results, batch(0), rows(a=1, b=2))
    with store(tmp_path, mode="complete") as results:
        run(results, batch(1), rows(b=3))
    with store(tmp_path, **shared) as results:
        results.catch_up()
    assert table(url) == {"b": 3}


def test_results_that_are_computed_again_leave_the_databases_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'copy.db'}"
    with store(tmp_path, databases=[parse_database_url(url)]) as results:
        run(results, batch(0), rows(a=1))
        monkeypatch.setattr(results.table, "empty", Mock(side_effect=RuntimeError("killed here")))
        with pytest.raises(RuntimeError):
            results.empty()
        assert (table(url), len(list(results.rows()))) == ({}, 1), "the next start finds rows, and empties both"


def test_databases_and_console_get_the_rows_as_they_are_after_an_addition(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"sqlite:///{tmp_path / 'copy.db'}"
    with store(tmp_path, "console", sums=("hits",), databases=[parse_database_url(url)]) as results:
        run(results, batch(0), rows(a=1, b=2))
        capsys.readouterr()
        run(results, batch(1), rows(b=3, c=4))
    assert table(url) == table(f"sqlite:///{tmp_path / 'counts.db'}") == {"a": 1, "b": 5, "c": 4}
    assert capsys.readouterr().out.startswith("url  hits\nb    5\nc    4\n")


def test_the_file_and_the_console_show_rows_by_key_without_their_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.jsonl"
    shape = ResultShape(("row",), "append", numbered=True, ordered=True)
    sinks = [parse_sink("console"), parse_sink(f"jsonl:{out}")]
    with RowResults(tmp_path, "by-url", SCHEMA, shape, sinks, top=2, counted="") as results:
        results.record(batch(0), rows(z=1, a=2, m=3))(Tally(read=6, hits=6))
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
        results.record(batch(0), rows(a=1))
        assert results.count_is_old
        assert (results.counted(now=False), results.count_is_old) == (1, False)
        results.record(batch(1), rows(a=4))
        rested = (results.counted(now=False), results.count_is_old)
        assert rested == (1, True), "counting took a second, so it rests for nine"
        assert (results.counted(now=True), results.count_is_old) == (4, False)


def test_a_snapshot_that_is_put_off_is_written_without_another_batch(tmp_path: Path) -> None:
    out, clock = tmp_path / "out.jsonl", Clock(step_s=1.0)
    with store(tmp_path, f"jsonl:{out}", clock=clock) as results:
        run(results, batch(0), rows(a=1))
        assert not out.exists(), "no batch waits for a snapshot"
        results.write_if_due()
        assert lines_of(out) == [{"url": "a", "hits": 1}]
        run(results, batch(1), rows(b=1))
        results.write_if_due()
        assert lines_of(out) == [{"url": "a", "hits": 1}], "put off"
        clock.now_s += 10
        results.write_if_due()
        assert lines_of(out) == [{"url": "a", "hits": 1}, {"url": "b", "hits": 1}]


def test_a_snapshot_and_a_transaction_do_not_wait_for_each_other(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with store(tmp_path, f"jsonl:{out}") as results:
        run(results, batch(0), rows(a=1, b=1))
        found = results.rows()
        assert next(found) == {"url": "a", "hits": 1}
        run(results, batch(1), rows(b=2))
        assert list(found) == [{"url": "b", "hits": 1}], "one consistent state"
        with results.table._database._engine.begin() as connection:
            connection.exec_driver_sql("UPDATE by_url SET hits = 99")
            results.write_if_due()
            connection.rollback()
    assert lines_of(out) == [{"url": "a", "hits": 1}, {"url": "b", "hits": 2}]


def test_numbers_go_on_from_the_first() -> None:
    assert numbered(rows(a=1, b=1), 40).column("row").to_pylist() == [40, 41]
