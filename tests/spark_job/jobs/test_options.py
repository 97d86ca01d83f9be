"""Options of window jobs and queries: defaults, and lengths that do not fit together."""

from __future__ import annotations

from datetime import timedelta

import pytest

from spark_job.errors import OptionError
from spark_job.jobs.options import SqlOptions, UrlCountsOptions, WindowOptions
from spark_job.options.command_line import read_options

MINUTE = timedelta(minutes=1)


def test_without_a_slide_windows_do_not_overlap() -> None:
    windows = WindowOptions(window="5m").windows
    assert (windows.length, windows.slide, windows.per_line) == (5 * MINUTE, 5 * MINUTE, 1)
    assert WindowOptions(window="5m", slide="1m").windows.per_line == 5


def test_lengths_that_do_not_fit_are_refused() -> None:
    with pytest.raises(OptionError, match="window 5m is not a whole multiple of slide 2m"):
        read_options(WindowOptions, {"window": "5m", "slide": "2m"})
    with pytest.raises(OptionError, match="slide 10m is longer than window 5m"):
        read_options(WindowOptions, {"slide": "10m"})


def test_retention_has_a_limit_only_where_one_is_set() -> None:
    kept = UrlCountsOptions(keep="7d", max_rows=0).retention
    assert (kept.age, kept.max_rows) == (timedelta(days=7), None)
    default = UrlCountsOptions().retention
    assert (default.age, default.max_rows) == (None, 5_000_000)


def test_a_query_has_no_key_and_no_watermark_unless_they_are_given() -> None:
    options = SqlOptions(query="SELECT 1")
    assert (options.key, options.watermark) == ("", None)
    assert SqlOptions(query="SELECT 1", watermark="1m").watermark == MINUTE
