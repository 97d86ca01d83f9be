"""The classic jobs on a made-up access log: each result is compared with a count of the lines by other means."""

from __future__ import annotations

import re
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from headrace.sample import SampleSettings, sample_lines
from spark_job.errors import OptionError
from spark_job.jobs import hashtags, status_per_batch, traffic, url_counts_dstream
from spark_job.jobs.hashtags import HashtagsOptions
from spark_job.jobs.status_per_batch import StatusOptions
from spark_job.runner.dstreams.options import SlidingOptions
from spark_job.runner.job_settings import JobSettings
from spark_job.sinks.sink_spec import parse_sink
from tests.support.bridges import RealBridge
from tests.support.streams import SteppedStreams

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pyspark.sql import SparkSession

LINES = [line.rstrip(b"\n") for line in sample_lines(SampleSettings(lines=3_000, seed=7, malformed=6))]
BATCHES = [LINES[:1000], LINES[1000:1800], [], LINES[1800:2700], LINES[2700:], []]
SHORT = SlidingOptions(window="3s")
REQUEST = re.compile(rb'" (\d{3}) (\d+|-) "[^"]*" "([^"]*)"$')
TARGET = re.compile(rb'"(?:GET|HEAD|POST) ([^ ?"]*)[^"]*" \d{3} ')


def parsed(lines: Iterable[bytes]) -> list[tuple[str, int, int, str]]:
    """Return URL, status, bytes and agent of the lines that are whole, found without the parser."""
    found = []
    for line in lines:
        target, rest = TARGET.search(line), REQUEST.search(line)
        # One kind of malformed line of the sample has a request, and a time that there is not.
        if target and rest and b"[32/" not in line:
            size = 0 if rest[2] == b"-" else int(rest[2])
            found.append((target[1].decode(), int(rest[1]), size, rest[3].decode()))
    return found


def window(second: int, batches: list[list[bytes]] = BATCHES) -> list[bytes]:
    """Return the lines of the three batches up to and with that one."""
    return [line for batch in batches[max(second - 3, 0) : second] for line in batch]


def results(
    spark: SparkSession, tmp_path: Path, job: Any, options: Any, batches: list[list[bytes]] = BATCHES
) -> tuple[dict[int, dict[Any, Any]], Any]:
    """Run a job over batches; return its results by second, and its sum."""
    with (
        RealBridge(tmp_path / "log") as bridge,
        SteppedStreams(spark, job, options, bridge.address, tmp_path / "job") as streams,
    ):
        for lines in batches:
            if lines:
                bridge.extend(lines)
            streams.step()
        return streams.by_time(), streams.tally


@pytest.mark.spark
def test_urls_of_a_sliding_window_and_dead_ones_leave(spark: SparkSession, tmp_path: Path) -> None:
    found, tally = results(spark, tmp_path, url_counts_dstream.JOB, SHORT)
    for second in range(1, 7):
        assert found[second] == Counter(url for url, *_ in parsed(window(second))), second
    assert (tally.read, tally.counted, tally.malformed, tally.balanced) == (3_000, 2_994, 6, True)
    assert len(list((tmp_path / "job" / "dead-letters").rglob("*.jsonl"))) > 0


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


@pytest.mark.spark
def test_requests_and_bytes_of_a_sliding_window(spark: SparkSession, tmp_path: Path) -> None:
    found, _ = results(spark, tmp_path, traffic.JOB, SHORT)
    for second in range(1, 7):
        sizes = [size for _, _, size, _ in parsed(window(second))]
        assert found[second] == {(): (len(sizes), sum(sizes))}, second


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


def test_options_that_cannot_be_used_are_refused_before_spark_starts(tmp_path: Path) -> None:
    settings = JobSettings().of_job("any")
    with pytest.raises(OptionError, match=r"--pattern='\('.*unclosed group"):
        hashtags.JOB.check(settings, HashtagsOptions(pattern="("))
    with pytest.raises(OptionError, match=r"--bots=.*cannot be read"):
        status_per_batch.JOB.check(settings, StatusOptions(bots=tmp_path / "missing"))
    with pytest.raises(OptionError, match=r"--trigger is for .* --batch-interval is the time between"):
        traffic.JOB.check(settings.model_copy(update={"trigger": timedelta(0)}), SHORT)
    with pytest.raises(OptionError, match=r"--time is for .* a line belongs to the batch in which it is read"):
        traffic.JOB.check(settings.model_copy(update={"time": "arrival"}), SHORT)
    with pytest.raises(OptionError, match=r"parquet:.*Parquet files are for url-counts"):
        traffic.JOB.check(settings.model_copy(update={"sinks": (parse_sink(f"parquet:{tmp_path}/x"),)}), SHORT)
