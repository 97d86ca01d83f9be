"""BatchResults by batch time: stored once, kept for a while, shown sorted and harmless, and written at the end."""

from __future__ import annotations

import io
import json
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from spark_job.errors import OptionError
from spark_job.jobs import intervals, running_totals, status_per_batch, url_counts_dstream
from spark_job.runner.dstreams.intervals import Intervals
from spark_job.runner.dstreams.results import BatchResults
from spark_job.sinks.database import parse_database_url, read_rows
from spark_job.sinks.sink_spec import parse_sink
from tests.support.streams import results_by_time

if TYPE_CHECKING:
    from pathlib import Path

    from spark_job.runner.dstreams.job import DStreamJob

SECOND = timedelta(seconds=1)
WINDOW = Intervals(SECOND, 3 * SECOND, SECOND)


def results(job: DStreamJob, folder: Path, **options: object) -> closing[BatchResults]:
    return closing(BatchResults(job, WINDOW, folder / "counts.db", "query", **options))  # type: ignore[arg-type] # named below


def test_a_result_is_stored_once_under_its_time(tmp_path: Path) -> None:
    job = url_counts_dstream.JOB
    with results(job, tmp_path) as found:
        found.store(3000, [("/a", 2), ("/b", 1)])
        found.store(4000, [("/a", 3)])
        found.store(3000, [("/a", 99)])
        assert list(found.final()) != []
    assert results_by_time(job, tmp_path / "counts.db") == {3: {"/a": 2, "/b": 1}, 4: {"/a": 3}}


def test_a_database_that_another_job_fills_is_refused_or_adopted(tmp_path: Path) -> None:
    job, shared = status_per_batch.JOB, [parse_database_url(f"sqlite:///{tmp_path / 'shared.db'}")]

    def of(name: str, **options: Any) -> closing[BatchResults]:
        (tmp_path / name).mkdir(exist_ok=True)
        place = tmp_path / name / "counts.db"
        return closing(BatchResults(job, WINDOW, place, name, databases=shared, **options))

    with of("old") as old:
        old.store(3000, [("bot", 200, 1000)])
        with pytest.raises(OptionError, match=f"shared.db: the table {job.table} belongs to the writer old"):
            of("new")
        with of("new", adopt=True) as new:
            new.store(2000, [("bot", 200, 7)])
        with pytest.raises(OptionError, match=f"shared.db: the table {job.table} belongs to the writer new"):
            old.store(4000, [("bot", 200, 1001)])
    with of("new") as new:
        new.store(3000, [("bot", 200, 8)])
    assert [row["hits"] for row in read_rows(shared[0], job.table)] == [7, 8]


def test_windows_are_kept_for_a_while(tmp_path: Path) -> None:
    job = url_counts_dstream.JOB
    with results(job, tmp_path, keep=2 * SECOND) as found:
        for second in range(1, 6):
            found.store(second * 1000, [("/", second)])
    assert sorted(results_by_time(job, tmp_path / "counts.db")) == [3, 4, 5]


def test_the_file_has_what_is_final(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with results(url_counts_dstream.JOB, tmp_path, sinks=[parse_sink(f"jsonl:{out}")]) as found:
        found.store(3000, [("/a", 2)])
        found.store(4000, [("/b", 1), ("/\N{LATIN SMALL LETTER A WITH DIAERESIS}", 3)])
    assert [json.loads(text) for text in out.read_text().splitlines()] == [
        {"window_start": "1970-01-01T00:00:01Z", "window_end": "1970-01-01T00:00:04Z", "url": "/b", "hits": 1},
        {"window_start": "1970-01-01T00:00:01Z", "window_end": "1970-01-01T00:00:04Z", "url": "/\xe4", "hits": 3},
    ]
    with results(url_counts_dstream.JOB, tmp_path, sinks=[parse_sink(f"jsonl:{out}")]) as found:
        found.store(5000, [])
    assert out.read_text() == "", "the newest window is empty"
    with results(status_per_batch.JOB, tmp_path, sinks=[parse_sink(f"jsonl:{out}")]) as found:
        found.store(3000, [("bot", 200, 2)])
        found.store(4000, [("bot", 200, 3)])
    assert [json.loads(text)["hits"] for text in out.read_text().splitlines()] == [2, 3]
    with results(running_totals.JOB.dstream, tmp_path, sinks=[parse_sink(f"jsonl:{out}")]) as found:
        found.store(3000, [("/a", 2, 20), ("/b", 1, 10)])
        found.store(4000, [("/a", 3, 30)])
    assert [json.loads(text) for text in out.read_text().splitlines()] == [
        {"url": "/a", "hits": 3, "bytes": 30},
        {"url": "/b", "hits": 1, "bytes": 10},
    ]


def test_a_snapshot_that_is_put_off_is_written_without_another_batch(tmp_path: Path) -> None:
    out, now_s = tmp_path / "out.jsonl", 0.0

    def clock() -> float:
        nonlocal now_s
        now_s += 1.0
        return now_s

    def urls() -> list[str]:
        return [json.loads(text)["url"] for text in out.read_text().splitlines()]

    with results(url_counts_dstream.JOB, tmp_path, sinks=[parse_sink(f"jsonl:{out}")], clock=clock) as found:
        found.write_if_due()
        assert urls() == [], "nothing is stored yet"
        now_s += 10
        found.store(3000, [("/a", 2)])
        assert urls() == [], "no batch waits for a snapshot"
        found.write_if_due()
        assert urls() == ["/a"]
        found.store(4000, [("/b", 2)])
        found.write_if_due()
        assert urls() == ["/a"], "put off"
        now_s += 10
        found.write_if_due()
        assert urls() == ["/b"]


def test_the_newest_window_and_its_rows_are_of_one_state(tmp_path: Path) -> None:
    with results(url_counts_dstream.JOB, tmp_path, keep=timedelta(0)) as found:
        found.store(3000, [("/a", 2), ("/b", 1)])
        final = found.final()
        assert next(final)["url"] == "/a"
        found.store(4000, [("/c", 1)])
        assert [row["url"] for row in final] == ["/b"], "the window that has left the table since"
        assert [row["url"] for row in found.final()] == ["/c"]


def test_the_console_has_the_highest_first_and_nothing_that_steers_it(tmp_path: Path) -> None:
    stream = io.StringIO()
    with results(url_counts_dstream.JOB, tmp_path, sinks=[parse_sink("console")], top=2, stream=stream) as found:
        found.store(1000, [])
        found.store(3000, [("/few", 1), ("/many", 1200), ("/\x1b[2J", 7)])
        found.store(4000, [])
        found.store(5000, [])
    assert stream.getvalue() == (
        "1970-01-01 00:00:00 to 1970-01-01 00:00:03 UTC   3 rows\n"
        "        hits  url\n"
        "       1,200  /many\n"
        "           7  /\\x1b[2J\n"
        "\n"
        "1970-01-01 00:00:01 to 1970-01-01 00:00:04 UTC   0 rows\n"
        "\n"
    )


def test_batches_are_shown_in_their_order(tmp_path: Path) -> None:
    stream = io.StringIO()
    batches = [intervals.with_instant((second * 1000, lines)) for second, lines in ((3, 1), (2, 9))]
    with results(intervals.JOB, tmp_path, sinks=[parse_sink("console")], stream=stream) as found:
        found.store(3000, batches)
    assert [text.split() for text in stream.getvalue().splitlines()[2:4]] == [
        ["9", "1970-01-01", "00:00:02"],
        ["1", "1970-01-01", "00:00:03"],
    ]


def test_parquet_is_for_others(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="Parquet files are for url-counts"):
        BatchResults(url_counts_dstream.JOB, WINDOW, tmp_path / "x", "q", sinks=[parse_sink(f"parquet:{tmp_path}/p")])
