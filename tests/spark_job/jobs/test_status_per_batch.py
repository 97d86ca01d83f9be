"""The job status-per-batch on a made-up access log, compared with a count of the lines by other means."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from spark_job.errors import OptionError
from spark_job.jobs import status_per_batch
from spark_job.jobs.status_per_batch import KNOWN_BOTS, StatusOptions, read_bots, visitor
from spark_job.runner.job_settings import JobSettings
from tests.support.classic_jobs import BATCHES, parsed, results

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession


@pytest.mark.spark
def test_status_of_bots_and_people_batch_by_batch(spark: SparkSession, tmp_path: Path) -> None:
    known = tmp_path / "bots"
    known.write_text("Googlebot\n\nFeedParser\n")
    found, _ = results(spark, tmp_path, status_per_batch.JOB, StatusOptions(bots=known))
    for second, lines in enumerate(BATCHES, 1):
        expected = Counter(
            ("bot" if re.search("googlebot|feedparser", agent.lower()) else "person", status)
            for _, status, _, agent in parsed(lines)
        )
        assert found.get(second, {}) == expected, second


def test_a_list_that_cannot_be_read_is_refused_before_spark_starts(tmp_path: Path) -> None:
    settings = JobSettings().of_job("any")
    with pytest.raises(OptionError, match=r"--bots=.*cannot be read"):
        status_per_batch.JOB.check(settings, StatusOptions(bots=tmp_path / "missing"))
    (tmp_path / "latin").write_bytes(b"\xe4bot")
    with pytest.raises(OptionError, match=r"--bots=.*cannot be read"):
        status_per_batch.JOB.check(settings, StatusOptions(bots=tmp_path / "latin"))


def test_a_list_is_lower_case_without_empty_lines(tmp_path: Path) -> None:
    (tmp_path / "bots").write_text(" GoogleBot \n\nFeed\n")
    assert read_bots(tmp_path / "bots") == ("googlebot", "feed")
    assert read_bots(None) == KNOWN_BOTS


@pytest.mark.parametrize(
    ("agent", "who"), [("Mozilla GOOGLEBOT/2.1", "bot"), ("Mozilla/5.0", "person"), ("", "person")]
)
def test_a_visitor_is_a_bot_by_any_part_of_the_list(agent: str, who: str) -> None:
    assert visitor(agent, ("spider", "googlebot")) == who
