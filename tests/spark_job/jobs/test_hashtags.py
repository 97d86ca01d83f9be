"""The job hashtags over lines of any kind, compared with Python's own regular expressions."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import polars as pl
import pytest

from spark_job.errors import OptionError
from spark_job.jobs import hashtags
from spark_job.jobs.hashtags import LONGEST, HashtagsOptions, picked
from spark_job.runner.job_settings import JobSettings
from tests.support.classic_jobs import results, window

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession


@pytest.mark.spark
def test_hashtags_in_lines_of_any_kind(spark: SparkSession, tmp_path: Path) -> None:
    batches = [
        [b"#flume and #spark", b"\xff\xfe #flume", b""],
        [b"no tag", "#kanal_\N{LATIN SMALL LETTER U WITH DIAERESIS}".encode()],
    ]
    batches += [[b"#spark#spark"], [], [], [b"# "]]
    found, tally = results(spark, tmp_path, hashtags.JOB, HashtagsOptions(window="3s"), batches)
    for second in range(1, 7):
        tags = (tag for line in window(second, batches) for tag in re.findall(r"#\w+", line.decode("utf-8", "replace")))
        assert found.get(second, {}) == Counter(tags), second
    assert (tally.read, tally.counted, tally.malformed) == (7, 7, 0)


def test_a_pattern_that_cannot_be_used_is_refused_before_spark_starts() -> None:
    settings = JobSettings().of_job("any")
    for pattern, reason in (("(", "unclosed group"), ("a(?=b)", "look-around")):
        with pytest.raises(OptionError, match=rf"--pattern={re.escape(repr(pattern))}.*{reason}"):
            hashtags.JOB.check(settings, HashtagsOptions(pattern=pattern))


def test_a_pick_is_cut_to_its_limit_and_an_empty_one_is_dropped() -> None:
    table = pl.DataFrame({"line": ["#" + "x" * 300, "ab", ""]})
    assert picked(table, r"#\w+") == ["#" + "x" * (LONGEST - 1)]
    assert picked(table, r"b*") == ["b"]
