"""The results of URL counts: the table first, then its sinks, and the readers hear what is closed."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from spark_job.accounting.open_panes import read_open_from
from spark_job.runner.results.url_counts import UrlCounting, UrlCountResults
from spark_job.sinks.counts_table.retention import Retention
from spark_job.windows import Windows
from tests.support.counting import Recorder, url_count_results
from tests.support.counts import MINUTE_US, content, entry, rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from spark_job.sinks.base import Sink
    from spark_job.sinks.counts_table.writer import CountsTable


def test_a_batch_is_stored_before_it_is_shown_and_shown_again_when_it_runs_again(tmp_path: Path) -> None:
    sink = Recorder()
    with url_count_results(tmp_path, sink) as results:
        show = results.record(entry(0, 0, 2), rows((3, "/", 2)))
        assert (content(results.table), sink.entries) == ({(3, "/"): 2}, [])
        show(results.tally())
        results.record(entry(0, 0, 2), rows((3, "/", 2)))(results.tally())
        assert content(results.table) == {(3, "/"): 2}
    assert [each.batch_id for each in sink.entries] == [0, 0]


def test_what_batches_put_off_is_written_by_the_sinks(tmp_path: Path) -> None:
    sink = Recorder()
    with url_count_results(tmp_path, sink) as results:
        assert results.later == [sink.write_if_due]


def test_the_readers_of_the_next_batch_are_told_what_is_closed(tmp_path: Path) -> None:
    with url_count_results(tmp_path, Recorder(), Retention(max_rows=1)) as results:
        assert read_open_from(tmp_path / "audit") is None
        results.record(entry(0, 0, 2), rows((3, "/", 1), (4, "/", 1)))
        assert read_open_from(tmp_path / "audit") == 4 * MINUTE_US
        (tmp_path / "audit" / "open-from").unlink()
    with url_count_results(tmp_path, Recorder(), Retention(max_rows=1)):
        assert read_open_from(tmp_path / "audit") == 4 * MINUTE_US, "a start writes it again"


def test_a_sink_that_cannot_be_opened_leaves_nothing_open(tmp_path: Path) -> None:
    class Closes(Recorder):
        closed = False

        def close(self) -> None:
            self.closed = True

    first, counting = Closes(), UrlCounting(Windows(timedelta(minutes=1), timedelta(minutes=1)), Retention())
    (tmp_path / "audit").mkdir()

    def sinks(_table: CountsTable) -> Iterator[Sink]:
        yield first
        raise OSError("no such server")

    with pytest.raises(OSError, match="no such server"):
        UrlCountResults(tmp_path / "counts.db", counting, tmp_path / "audit", sinks)
    assert first.closed
