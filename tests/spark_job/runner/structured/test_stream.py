"""A live run of a structured job: its session, and what it does about a state that Spark cannot load."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException

from spark_job.errors import QueryFailed
from spark_job.jobs import sensors, sessions
from spark_job.jobs.url_counts import JOB
from spark_job.runner.structured.job import ROCKSDB
from spark_job.runner.structured.stream import broken_state, spark_settings
from tests.support.bridges import RealBridge
from tests.support.counting import line
from tests.support.job_process import JobProcess

if TYPE_CHECKING:
    from pathlib import Path


def test_append_mode_gets_the_batch_without_lines_that_emits_its_rows() -> None:
    without_lines = "spark.sql.streaming.noDataMicroBatches.enabled"
    assert spark_settings(sessions.JOB) == {without_lines: "true"}
    assert spark_settings(sensors.JOB) == {**ROCKSDB, without_lines: "true"}
    assert spark_settings(JOB) == {}


def died_of(text: str) -> QueryFailed:
    error = QueryFailed("the query failed")
    error.__cause__ = PySparkException(text)
    return error


def test_only_a_state_that_cannot_be_loaded_is_broken() -> None:
    missing = "[STDS_FAILED_TO_READ_OPERATOR_METADATA] Failed to read the operator metadata\nEither the file"
    assert broken_state(died_of(missing), None) == f"it is damaged: {missing.splitlines()[0]}"
    delta = "[CANNOT_LOAD_STATE_STORE.CANNOT_READ_DELTA_FILE_NOT_EXISTS] Error reading delta file 1.delta"
    assert delta in broken_state(died_of("a trace"), Py4JError(f"caused by\n{delta} of\nmore"))
    assert broken_state(died_of("[DIVIDE_BY_ZERO] Division by zero"), None) == ""


@pytest.mark.spark
@pytest.mark.slow
def test_a_folder_of_a_newer_spark_ends_in_a_new_query_and_a_note(tmp_path: Path) -> None:
    job, drain = tmp_path / "job", tmp_path / "drain.json"
    with RealBridge(tmp_path / "log") as bridge:
        for seconds in ([0, 10, 4_000], [4_010, 9_000], [9_001]):
            bridge.extend([line(second) for second in seconds])
            drain.write_text(json.dumps({bridge.log_id: bridge.log.next_offset}))
            with JobProcess("sessions", bridge.address, job, "--drain-to-file", str(drain)) as process:
                assert process.end() == 0, process.errors()
                said = process.errors()
            if len(seconds) == 3:
                made_by = json.loads((job / "format.json").read_bytes())
                (job / "format.json").write_text(json.dumps(made_by | {"spark": "99.0"}))
            elif len(seconds) == 2:
                assert said[0].startswith(
                    "note: the checkpoint does not fit the stored results (it was written by Spark 99"
                )
                assert json.loads((job / "format.json").read_bytes()) == made_by
        # The query that follows has a state of its own again.
        assert not said[0].startswith("note"), said


@pytest.mark.spark
@pytest.mark.slow
def test_a_missing_state_ends_in_a_new_query_and_a_note(tmp_path: Path) -> None:
    job, drain = tmp_path / "job", tmp_path / "drain.json"
    with RealBridge(tmp_path / "log") as bridge:
        for number, seconds in enumerate([[0, 10], [20, 4_000], [9_000]]):
            bridge.extend([line(second) for second in seconds])
            drain.write_text(json.dumps({bridge.log_id: bridge.log.next_offset}))
            with JobProcess("sessions", bridge.address, job, "--drain-to-file", str(drain)) as process:
                assert process.end() == 0, process.errors()
                said = process.errors()
            if number == 0:
                for path in (job / "checkpoint" / "state").rglob("*.delta*"):
                    path.unlink()
            elif number == 1:
                note, total = said
                assert note.startswith("note: the checkpoint does not fit the stored results (it is damaged: ")
                assert note.endswith(
                    f'a new query starts at {{"{bridge.log_id}": 2}}; its windows start empty; 2 lines were open'
                )
                # Spark may end the visit at 20 in one more micro-batch before the drained query is stopped.
                assert total in {f"lines read 4 = counted {n} + malformed 0 + late 0 + open {4 - n}" for n in (0, 1)}
        assert said == ["lines read 5 = counted 1 + malformed 0 + late 0 + open 4"]
