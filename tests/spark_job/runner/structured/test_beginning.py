"""Where a query begins: at the table's positions; with its state after a power cut; without a useless checkpoint."""

from __future__ import annotations

import json
import random
import shutil
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from spark_job.accounting.spark_checkpoint import Checkpoint
from spark_job.errors import DataLoss
from spark_job.jobs import sessions, sql
from spark_job.jobs.options import SqlOptions
from spark_job.jobs.sessions import SessionsOptions
from spark_job.ranges import LogRange
from spark_job.runner.bridge_positions import first_offset, status_bridges
from spark_job.runner.job_settings import JobSettings
from spark_job.runner.structured.beginning import begin, options_from, starts_of
from tests.support.bridges import RealBridge
from tests.support.counting import Recorder, line, url_count_results
from tests.support.counts import entry, rows
from tests.support.flight_double import FlightDouble, MemoryLog
from tests.support.jobs import JobQuery
from tests.support.power_cut import Synced, harm_what_is_not_synced

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pyspark.sql import SparkSession

MINUTE = SessionsOptions(gap="1m", watermark="0s")
QUERY = SqlOptions(query="SELECT url, count(*) AS hits FROM access_log GROUP BY url", key="url")
SQL = sql.for_query(QUERY)


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[RealBridge]:
    with RealBridge(tmp_path / "log") as found:
        yield found


@pytest.mark.spark
@pytest.mark.slow
def test_a_power_cut_after_any_batch_loses_no_state(
    spark: SparkSession, bridge: RealBridge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table has batch n: whatever is not synced by then is harmed, its commit and its state included."""
    synced = Synced(monkeypatch)
    dice = random.Random(11)  # noqa: S311 -- files, not secrets
    job = tmp_path / "job"
    for life in range(6):
        with JobQuery(spark, sessions.JOB, MINUTE, bridge, job) as query:
            assert (query.beginning.note, query.beginning.goes_on) == ("", life > 0)
            query.feed([line(20 * life), line(20 * life + 5)])
        bridge.retain()
        harm_what_is_not_synced(job, dice, synced)
    with JobQuery(spark, sessions.JOB, MINUTE, bridge, job) as query:
        query.feed([line(1_000)])
        query.feed([line(2_000)])
        assert [(row["requests"], row["duration_s"]) for row in query.rows()] == [(12, 105.0), (1, 0.0)]
        assert str(query.writer.finish()) == "lines read 14 = counted 13 + malformed 0 + late 0 + open 1"


@pytest.mark.spark
@pytest.mark.slow
def test_without_its_checkpoint_a_job_goes_on_and_never_changes_a_final_row(
    spark: SparkSession, bridge: RealBridge, tmp_path: Path
) -> None:
    job = tmp_path / "job"
    with JobQuery(spark, sessions.JOB, MINUTE, bridge, job) as query:
        query.feed([line(0), line(10), line(1_000)])
        query.feed([line(1_010)])
        assert [row["requests"] for row in query.rows()] == [2]
    saved = shutil.copytree(job / "checkpoint", tmp_path / "older")
    with JobQuery(spark, sessions.JOB, MINUTE, bridge, job) as query:
        query.feed([line(1_020)])
    for place, harm in enumerate(("older", "missing")):
        shutil.rmtree(job / "checkpoint")
        if harm == "older":
            shutil.copytree(saved, job / "checkpoint")
        with JobQuery(spark, sessions.JOB, MINUTE, bridge, job) as query:
            assert not query.beginning.goes_on
            assert f"its windows start empty; {3 + 2 * place} lines were open" in query.beginning.note
            query.feed([line(0), line(5_000 * (place + 1))])
            query.feed([line(5_000 * (place + 1) + 1)])
            # The session that began at 0 is stored, so this other line of then is late.
            assert [row["requests"] for row in query.rows()] == [2]
            tally = query.writer.finish()
            assert (tally.read, tally.counted, tally.late) == (8 + 3 * place, 2, 1 + place)


@pytest.mark.spark
@pytest.mark.slow
def test_values_over_a_state_are_computed_again_or_not_at_all(
    spark: SparkSession, bridge: RealBridge, tmp_path: Path
) -> None:
    job = tmp_path / "job"
    with JobQuery(spark, SQL, QUERY, bridge, job) as query:
        query.feed([line(0, "/a"), line(0, "/b")])
    shutil.rmtree(job / "checkpoint")
    with JobQuery(spark, SQL, QUERY, bridge, job) as query:
        assert query.beginning.note.endswith("all results are computed again")
        query.feed([line(0, "/a")])
        assert [(row["url"], row["hits"]) for row in query.rows()] == [("/a", 2), ("/b", 1)]
        query.feed([line(0, "/a")])
        query.feed([line(0, "/a")])
    bridge.retain()
    shutil.rmtree(job / "checkpoint")
    with pytest.raises(DataLoss, match=r"results \(it is missing\), and they cannot be computed again"):
        JobQuery(spark, SQL, QUERY, bridge, job).__enter__()
    assert [(row["url"], row["hits"]) for row in query.rows()] == [("/a", 4), ("/b", 1)], "nothing was deleted"
    gone = bridge.log.first_offset
    with JobQuery(spark, SQL, QUERY, bridge, job, allow_data_loss=True) as query:
        assert query.beginning.note.endswith(
            f"without {gone} lines that the bridges have deleted or that were lost before"
        )
        query.feed([line(0, "/c")])
        assert sum(row["hits"] for row in query.rows()) == 6 - gone
        assert (query.writer.tally.read, query.writer.tally.lost, query.writer.finish().balanced) == (
            6 - gone,
            gone,
            True,
        )


class Stored:
    """A table with results up to some offsets."""

    def __init__(self, positions: dict[str, int]) -> None:
        self._positions = positions
        self.skipped_to: dict[str, int] = {}

    def positions(self) -> dict[str, int]:
        return self._positions

    def skip_lost(self, starts: Mapping[str, int]) -> None:
        self.skipped_to = dict(starts)


def starts(settings: JobSettings, stored: Stored) -> dict[str, int]:
    return starts_of(settings.parsed_flume_options(), settings, cast("Any", stored))


def test_events_that_are_gone_are_skipped_where_loss_is_allowed() -> None:
    log = MemoryLog(log_id="log-a")
    log.extend([b"x"] * 7)
    log.drop_below(5)
    with FlightDouble(log) as double:
        settings = JobSettings(bridges=double.address).of_job("running-totals")
        older = Stored({"log-a": 3})
        with pytest.raises(DataLoss, match="up to offset 3, and the bridge has deleted the events 3 to 4"):
            starts(settings, older)
        starts(settings.model_copy(update={"allow_data_loss": True}), older)
        assert older.skipped_to == {"log-a": 5}


def test_the_start_is_that_of_the_results_and_the_bridge_is_told(bridge: RealBridge) -> None:
    bridge.extend([b"x"] * 5)
    settings = JobSettings(bridges=bridge.address).of_job("running-totals")
    assert starts(settings, Stored({})) == {bridge.log_id: 0}
    assert starts(settings, Stored({bridge.log_id: 3})) == {bridge.log_id: 3}
    with closing(status_bridges(settings.parsed_flume_options())) as bridges:
        assert first_offset(bridges, "running-totals", bridge.log_id) == 3


def test_where_the_table_is_the_only_state_any_checkpoint_is_deleted(bridge: RealBridge, tmp_path: Path) -> None:
    bridge.extend([b"x"] * 5)
    checkpoint = Checkpoint(tmp_path / "checkpoint")
    checkpoint.folder.mkdir()
    (checkpoint.folder / "metadata").write_text("damaged")
    settings = JobSettings(bridges=bridge.address).of_job("url-counts")
    with url_count_results(tmp_path, Recorder()) as results:
        results.record(replace(entry(0, 0, 2), ranges=(LogRange(bridge.log_id, 0, 2),)), rows((0, "/", 2)))
        beginning = begin(settings.parsed_flume_options(), settings, checkpoint, results)
    assert (beginning.starts, beginning.goes_on, beginning.note) == ({bridge.log_id: 2}, False, "")
    assert not checkpoint.folder.exists()


def test_the_options_leave_the_commits_to_the_job() -> None:
    given = options_from({"startingOffsets": "earliest", "consumer": "c"}, {"log": 3})
    assert given.pop("startingOffsets") == json.dumps({"log": 3})
    assert given == {"consumer": "c", "commitOffsets": "false"}
