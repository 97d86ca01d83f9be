"""Results by batch time: stored once, kept for a while, shown sorted and harmless, and written at the end."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from spark_job.accounting.ledger import LedgerEntry
from spark_job.jobs import intervals, running_totals, status_per_batch, url_counts_dstream
from spark_job.ranges import LogRange
from spark_job.runner.results.row_results import RowResults
from spark_job.runner.results.shape import ResultShape
from spark_job.sinks.database import parse_database_url, read_rows
from spark_job.sinks.sink_spec import parse_sink
from tests.support.streams import results_by_time

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Self

    import pytest

    from spark_job.runner.dstreams.job import DStreamJob
    from spark_job.sinks.rows import Row

SECOND = timedelta(seconds=1)
WINDOW = 3 * SECOND


class Results:
    """The results of a DStream job, stored and shown as its delivery does."""

    def __init__(
        self, job: DStreamJob, folder: Path, *sinks: str, keep: timedelta | None = None, top: int = 10, **more: Any
    ) -> None:
        self.job = job
        self.opened = RowResults(
            folder,
            job.name,
            job.schema,
            ResultShape(job.stored_key, "update", ordered=True),
            [parse_sink(each) for each in sinks],
            counted="",
            top=top,
            timed=job.timed(keep),
            **more,
        )

    def store(self, second: int, *rows: tuple[Any, ...]) -> None:
        """Store a batch of one line for each row."""
        time_ms, table = second * 1000, self.opened.table
        reached = table.positions().get("log", 0)
        ranges = (LogRange("log", reached, reached + len(rows)),) if rows else ()
        stored = self.job.stored_rows(time_ms, WINDOW, rows)
        entry = LedgerEntry(table.table_id(), time_ms, ranges, 0, 0, 0, 0, 0, 0)
        self.opened.record(entry, stored, lines=len(rows))(self.opened.tally())
        self.opened.show(stored.select(list(self.job.columns)), title=self.job.title(time_ms, WINDOW))

    def final(self) -> Iterator[Row]:
        return self.opened.rows()

    def __enter__(self) -> Self:
        self.opened.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.opened.__exit__(None, None, None)


def test_each_result_is_stored_under_its_time_with_the_number_of_its_lines(tmp_path: Path) -> None:
    job = url_counts_dstream.JOB
    with Results(job, tmp_path) as found:
        found.store(3, ("/a", 2), ("/b", 1))
        found.store(4, ("/a", 3))
        assert str(found.opened.table.tally()) == "lines read 3 = counted 3 + malformed 0"
        assert found.opened.table.newest_batch_id() == 4000
    assert results_by_time(job, tmp_path / "counts.db") == {3: {"/a": 2, "/b": 1}, 4: {"/a": 3}}


def test_old_windows_leave_the_table_and_the_databases(tmp_path: Path) -> None:
    job, copy = url_counts_dstream.JOB, tmp_path / "copy.db"
    databases = [parse_database_url(f"sqlite:///{copy}")]
    with Results(job, tmp_path, keep=2 * SECOND, databases=databases) as found:
        for second in range(1, 6):
            found.store(second, ("/", second))
            expected = {each: {"/": each} for each in range(max(second - 2, 1), second + 1)}
            assert results_by_time(job, tmp_path / "counts.db") == results_by_time(job, copy) == expected


def test_rows_of_a_batch_and_of_a_state_stay(tmp_path: Path) -> None:
    (tmp_path / "batches").mkdir()
    with Results(status_per_batch.JOB, tmp_path / "batches", keep=2 * SECOND) as found:
        for second in range(1, 6):
            found.store(second, ("bot", 200, second))
        assert [row["hits"] for row in found.final()] == [1, 2, 3, 4, 5]
    with Results(running_totals.JOB.dstream, tmp_path, keep=2 * SECOND) as found:
        found.store(1, ("/a", 2, 20), ("/b", 1, 10))
        found.store(9, ("/a", 3, 30))
        assert [(row["url"], row["hits"]) for row in found.final()] == [("/a", 3), ("/b", 1)]


def test_a_database_that_was_away_gets_the_batches_that_it_lacks(tmp_path: Path) -> None:
    job, copy = status_per_batch.JOB, parse_database_url(f"sqlite:///{tmp_path / 'copy.db'}")
    for second, databases in ((1, [copy]), (2, []), (3, [copy])):
        with Results(job, tmp_path, databases=databases) as found:
            found.opened.catch_up()
            found.store(second, ("bot", 200, second))
    assert [row["hits"] for row in read_rows(copy, job.table)] == [1, 2, 3]


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in path.read_text().splitlines()]


def test_a_file_of_windows_has_the_newest_one_even_if_it_is_empty(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with Results(url_counts_dstream.JOB, tmp_path, f"jsonl:{out}") as found:
        found.store(3, ("/a", 2))
        found.store(4, ("/b", 1), ("/\N{LATIN SMALL LETTER A WITH DIAERESIS}", 3))
    assert lines_of(out) == [
        {"window_start": "1970-01-01T00:00:01Z", "window_end": "1970-01-01T00:00:04Z", "url": "/b", "hits": 1},
        {"window_start": "1970-01-01T00:00:01Z", "window_end": "1970-01-01T00:00:04Z", "url": "/\xe4", "hits": 3},
    ]
    with Results(url_counts_dstream.JOB, tmp_path, f"jsonl:{out}") as found:
        found.store(5)
    assert out.read_text() == ""


def test_a_file_of_batches_has_all_and_that_of_a_state_every_key(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    (tmp_path / "batches").mkdir()
    with Results(status_per_batch.JOB, tmp_path / "batches", f"jsonl:{out}") as found:
        found.store(3, ("bot", 200, 2))
        found.store(4, ("bot", 200, 3))
    assert [row["hits"] for row in lines_of(out)] == [2, 3]
    with Results(running_totals.JOB.dstream, tmp_path, f"jsonl:{out}") as found:
        found.store(3, ("/a", 2, 20), ("/b", 1, 10))
        found.store(4, ("/a", 3, 30))
    assert lines_of(out) == [{"url": "/a", "hits": 3, "bytes": 30}, {"url": "/b", "hits": 1, "bytes": 10}]


def test_the_newest_window_and_its_rows_are_of_one_state(tmp_path: Path) -> None:
    with Results(url_counts_dstream.JOB, tmp_path, keep=timedelta(0)) as found:
        found.store(3, ("/a", 2), ("/b", 1))
        final = found.final()
        assert next(final)["url"] == "/a"
        found.store(4, ("/c", 1))
        assert [row["url"] for row in final] == ["/b"], "the window that has left the table since"
        assert [row["url"] for row in found.final()] == ["/c"]


def test_the_console_has_the_highest_first_and_nothing_that_steers_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Results(url_counts_dstream.JOB, tmp_path, "console", top=2) as found:
        found.store(1)
        found.store(3, ("/few", 1), ("/many", 1200), ("/\x1b[2J", 7))
        found.store(4)
        found.store(5)
    assert capsys.readouterr().out == (
        "1970-01-01 00:00:00 to 1970-01-01 00:00:03 UTC   3 rows\n"
        "        hits  url\n"
        "       1,200  /many\n"
        "           7  /\\x1b[2J\n"
        "\n"
        "1970-01-01 00:00:01 to 1970-01-01 00:00:04 UTC   0 rows\n"
        "\n"
    )


def test_equal_numbers_are_shown_in_the_order_of_their_texts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Results(url_counts_dstream.JOB, tmp_path, "console", top=3) as found:
        found.store(1, ("/b", 5), ("/c", 9), ("/a", 5), ("/d", 1))
    assert [text.split()[1] for text in capsys.readouterr().out.splitlines()[2:5]] == ["/c", "/a", "/b"]


def test_batches_are_shown_in_their_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    batches = [intervals.with_instant((second * 1000, lines)) for second, lines in ((3, 1), (2, 9))]
    with Results(intervals.JOB, tmp_path, "console") as found:
        found.store(3, *batches)
    assert [text.split() for text in capsys.readouterr().out.splitlines()[2:4]] == [
        ["9", "1970-01-01", "00:00:02"],
        ["1", "1970-01-01", "00:00:03"],
    ]


def test_a_console_of_batches_and_one_of_a_state_name_the_batch_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "batches").mkdir()
    with Results(status_per_batch.JOB, tmp_path / "batches", "console") as found:
        found.store(3, ("bot", 200, 1234))
    with Results(running_totals.JOB.dstream, tmp_path, "console") as found:
        found.store(4, ("/a", 2, 20))
    assert capsys.readouterr().out == (
        "1970-01-01 00:00:03 UTC   1 row\n      status        hits  visitor\n         200       1,234  bot\n\n"
        "1970-01-01 00:00:04 UTC   1 row\n        hits       bytes  url\n           2          20  /a\n\n"
    )
