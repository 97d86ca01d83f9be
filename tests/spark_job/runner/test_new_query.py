"""A new query begins where the results end, and the bridges hear of what is stored."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from spark_job.errors import DataLoss
from spark_job.runner.bridge_positions import first_offset, status_bridges
from spark_job.runner.job_folder import JobFolder
from spark_job.runner.job_settings import JobSettings
from spark_job.runner.new_query import options_from, start_new_query, starts_of
from tests.support.bridges import RealBridge
from tests.support.flight_double import FlightDouble, MemoryLog

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession


class Stored:
    """Results up to some offsets."""

    def __init__(self, positions: dict[str, int]) -> None:
        self._positions = positions
        self.skipped_to: dict[str, int] = {}

    def positions(self) -> dict[str, int]:
        return self._positions

    def skip_lost(self, starts: Mapping[str, int]) -> None:
        self.skipped_to = dict(starts)


def test_events_that_are_gone_are_skipped_where_loss_is_allowed() -> None:
    log = MemoryLog(log_id="log-a")
    log.extend([b"x"] * 7)
    log.drop_below(5)
    with FlightDouble(log) as bridge:
        settings = JobSettings(bridges=bridge.address).of_job("running-totals")
        flume = settings.parsed_flume_options()
        older = Stored({"log-a": 3})
        with pytest.raises(DataLoss, match="up to offset 3, and the bridge has deleted the events 3 to 4"):
            starts_of(flume, settings, older)
        starts_of(flume, settings.model_copy(update={"allow_data_loss": True}), older)
        assert older.skipped_to == {"log-a": 5}


def test_the_start_is_that_of_the_results_and_the_bridge_is_told(tmp_path: Path) -> None:
    with RealBridge(tmp_path / "log") as bridge:
        bridge.extend([b"x"] * 5)
        settings = JobSettings(bridges=bridge.address).of_job("running-totals")
        flume = settings.parsed_flume_options()
        assert starts_of(flume, settings, Stored({})) == {bridge.log_id: 0}
        assert starts_of(flume, settings, Stored({bridge.log_id: 3})) == {bridge.log_id: 3}
        with closing(status_bridges(flume)) as bridges:
            assert first_offset(bridges, "running-totals", bridge.log_id) == 3


def test_the_options_leave_the_commits_to_the_job() -> None:
    given = options_from({"startingOffsets": "earliest", "consumer": "c"}, {"log": 3})
    assert given.pop("startingOffsets") == json.dumps({"log": 3})
    assert given == {"consumer": "c", "commitOffsets": "false"}


@pytest.mark.spark
def test_whatever_the_checkpoint_was_the_query_begins_at_the_given_offsets(spark: SparkSession, tmp_path: Path) -> None:
    seen: list[list[int]] = []

    def keep(lines: DataFrame, _batch_id: int) -> None:
        seen.append(sorted(row.offset for row in lines.collect()))

    with RealBridge(tmp_path / "log") as bridge:
        bridge.extend([b"x"] * 5)
        folder = JobFolder(tmp_path / "job")
        settings: Any = JobSettings(bridges=bridge.address, job_folder=folder.root, trigger=timedelta(0)).of_job("any")
        for start in (2, 3):
            given = options_from(settings.flume_options(), {bridge.log_id: start})
            lines = spark.readStream.format("flume").options(**given).load()
            query = start_new_query("any", lines, settings, folder, keep)
            try:
                query.processAllAvailable()
            finally:
                query.stop()
            (folder.checkpoint.folder / "commits" / "0").write_text("damaged")
    assert seen == [[2, 3, 4], [3, 4]]
