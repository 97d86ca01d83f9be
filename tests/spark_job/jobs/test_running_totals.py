"""The job running-totals: both APIs have the known answer, and so they agree; state begins and expires as asked."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from spark_job.errors import OptionError
from spark_job.jobs import running_totals
from spark_job.jobs.running_totals import Total, TotalsOptions, updated
from spark_job.runner.job_settings import JobSettings
from spark_job.sinks.database import parse_database_url, read_rows
from tests.support.bridges import RealBridge
from tests.support.counting import line
from tests.support.streams import SteppedStreams

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

Totals = dict[str, tuple[int, int]]


def totals_in(folder: Path) -> Totals:
    rows = read_rows(parse_database_url(f"sqlite:///{folder / 'counts.db'}"), "running_totals")
    return {row["url"]: (row["hits"], row["bytes"]) for row in rows}


def structured_totals(spark: SparkSession, folder: Path, bridges: str) -> Totals:
    """Run the other half as a stream over all that is there, going on from where it was."""
    options = {"bridges": bridges, "consumer": "structured"}
    lines = spark.readStream.format("access_log").options(**options).load().where("error IS NULL")
    found: Totals = {}

    def keep(changed: DataFrame, _batch_id: int) -> None:
        found.update({row.url: (row.hits, row.bytes) for row in changed.collect()})

    query = (
        running_totals.JOB.structured.rows(lines, TotalsOptions())
        .writeStream.outputMode("complete")
        .option("checkpointLocation", str(folder))
        .trigger(availableNow=True)
        .foreachBatch(keep)
        .start()
    )
    assert query.awaitTermination(120)
    return found


@pytest.mark.spark
@pytest.mark.slow
def test_running_totals_agree_also_after_a_restart(spark: SparkSession, tmp_path: Path) -> None:
    job, options = running_totals.JOB.dstream, TotalsOptions(api="dstream")
    batches = [[line(n, f"/{n % 5}") for n in range(40)], [line(n, f"/{n % 3}") for n in range(40, 70)], [b"?"]]
    with RealBridge(tmp_path / "log") as bridge:
        with SteppedStreams(spark, job, options, bridge.address, tmp_path / "job") as streams:
            for each in batches:
                bridge.extend(each)
                streams.step()
        first = totals_in(tmp_path / "job")
        assert structured_totals(spark, tmp_path / "structured", bridge.address) == first
        bridge.extend([line(n, "/new") for n in range(70, 80)])
        with SteppedStreams(spark, job, options, bridge.address, tmp_path / "job") as streams:
            streams.step(2)
            assert (streams.tally.read, streams.tally.counted, streams.tally.malformed) == (81, 80, 1)
        second = totals_in(tmp_path / "job")
        assert structured_totals(spark, tmp_path / "structured", bridge.address) == second
    hits = Counter([f"/{n % 5}" for n in range(40)] + [f"/{n % 3}" for n in range(40, 70)])
    assert first == {url: (count, 100 * count) for url, count in hits.items()}
    assert second == first | {"/new": (10, 1000)}


@pytest.mark.spark
@pytest.mark.slow
def test_totals_begin_with_those_of_a_file_and_expire(spark: SparkSession, tmp_path: Path) -> None:
    initial = tmp_path / "totals.jsonl"
    initial.write_text('{"url": "/old", "hits": 5, "bytes": 50}\n{"url": "/a", "hits": 1, "bytes": 10}\n')
    options = TotalsOptions(api="dstream", initial=initial, expire="2s")
    seen: list[Totals] = []
    with RealBridge(tmp_path / "log") as bridge:
        for urls in (["/a", "/a"], [], [], ["/a"], ["/old"], ["/old"]):
            # Started anew before each batch: also a state that was not written to disk yet begins with the file.
            with SteppedStreams(
                spark, running_totals.JOB.dstream, options, bridge.address, tmp_path / "job"
            ) as streams:
                bridge.extend([line(0, url) for url in urls])
                streams.step()
            seen.append(totals_in(tmp_path / "job"))
    assert seen[0] == {"/old": (5, 50), "/a": (3, 210)}
    assert seen[2] == seen[0], "nothing new, nothing changed"
    assert seen[5]["/old"] == (2, 200), "idle for more than 2 s, it began anew"
    assert seen[5]["/a"] in {(1, 100), (4, 310)}


def test_what_the_aggregation_does_not_have_is_refused(tmp_path: Path) -> None:
    settings = JobSettings().of_job("running-totals")
    with pytest.raises(OptionError, match="--expire is for --api dstream"):
        running_totals.JOB.check(settings, TotalsOptions(expire="1h"))
    with pytest.raises(OptionError, match="--batch-interval is for --api dstream: Structured Streaming has --trigger"):
        running_totals.JOB.check(settings, TotalsOptions(batch_interval="2s"))
    missing = TotalsOptions(api="dstream", initial=tmp_path / "missing")
    with pytest.raises(OptionError, match=r"--initial=.*no JSON lines"):
        running_totals.JOB.check(settings, missing)
    running_totals.JOB.check(settings, TotalsOptions())


def test_a_state_counts_its_idle_batches_and_is_dropped_after_the_longest() -> None:
    total = updated([Total(1, 10), Total(2, 5)], None, longest=1)
    assert total == Total(3, 15)
    idle = updated([], total, longest=1)
    assert idle == Total(3, 15, idle=1)
    assert updated([], idle, longest=1) is None
    assert updated([], idle, longest=None) == Total(3, 15, idle=2)
    assert updated([Total(1, 1)], idle, longest=1) == Total(4, 16), "a request ends the idle time"
