"""Results of batches on the console: ranked, cut, and an empty one shown once."""

from __future__ import annotations

import io
from datetime import UTC, datetime

from spark_job.jobs import intervals, status_per_batch, url_counts_dstream
from spark_job.runner.dstreams.console import WIDTH, BatchConsole


def test_rows_are_ranked_by_their_first_number_and_equal_ones_by_text() -> None:
    stream = io.StringIO()
    BatchConsole(url_counts_dstream.JOB, 3, stream).show("now", [("/b", 5), ("/c", 9), ("/a", 5), ("/d", 1)])
    assert stream.getvalue() == (
        "now   4 rows\n        hits  url\n           9  /c\n           5  /a\n           5  /b\n\n"
    )


def test_an_empty_result_is_shown_after_one_with_rows_only() -> None:
    stream = io.StringIO()
    console = BatchConsole(url_counts_dstream.JOB, 3, stream)
    for title, rows in (("1", []), ("2", [("/", 1)]), ("3", []), ("4", [])):
        console.show(title, rows)
    assert [text for text in stream.getvalue().splitlines() if "row" in text] == ["2   1 row", "3   0 rows"]


def test_a_stranger_s_text_is_harmless_and_no_line_is_too_wide() -> None:
    stream = io.StringIO()
    BatchConsole(status_per_batch.JOB, 3, stream).show("now", [("\x1b[2J" + "x" * 500, 200, 1)])
    assert "\x1b" not in stream.getvalue()
    assert max(len(text) for text in stream.getvalue().splitlines()) == WIDTH


def test_instants_stand_in_their_order_where_the_job_says_so() -> None:
    stream = io.StringIO()
    rows = [(datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC), lines) for second, lines in ((2, 9), (1, 3))]
    BatchConsole(intervals.JOB, 3, stream).show("now", rows)
    assert [text.split() for text in stream.getvalue().splitlines()[2:4]] == [
        ["3", "2026-01-01", "00:00:01"],
        ["9", "2026-01-01", "00:00:02"],
    ]
