"""What Spark raises becomes one sentence, as an error of this package."""

from __future__ import annotations

from pathlib import Path

import pytest

from spark_job.errors import BridgeUnavailable, QueryFailed, SinkError, SparkJobError
from spark_job.runner.spark_errors import MAX_CAUSE_CHARACTERS, cause_of, first_line, java_has_died

LONG_TRACE = """[STREAM_FAILED] Query [id = 1, runId = 2] terminated with exception: [PYTHON_DATA_SOURCE_ERROR]
Traceback (most recent call last):
  File "planning.py", line 60, in latest_offset
spark_job.errors.BridgeUnavailable: first cause

During handling of the above exception, another exception occurred:

ValueError: what came of it
 SQLSTATE: 38000
"""

# As Spark 4.3 words it, shortened: the query is described below the cause.
DESCRIBED = """Job aborted due to stage failure: Lost task 0.0 in stage 1.0
org.apache.spark.SparkException: Python worker failed to connect back.
\tat org.apache.spark.api.python.PythonWorkerFactory.createSimpleWorker(PythonWorkerFactory.scala:203)
=== Streaming Query ===
Identifier: url-counts [id = 1, runId = 2]
Current Committed Offsets: {}
Current State: ACTIVE
"""


@pytest.mark.parametrize(
    ("error", "failure", "kind", "text"),
    [
        (RuntimeError(LONG_TRACE), None, SparkJobError, "first cause"),
        (RuntimeError("x"), SinkError("the disk is full"), SinkError, "the disk is full"),
        (RuntimeError("x"), KeyError("surprise"), QueryFailed, "KeyError: 'surprise'"),
        (RuntimeError("trace\nValueError: odd\n at x"), None, QueryFailed, "ValueError: odd"),
        (RuntimeError(DESCRIBED), None, QueryFailed, "SparkException: Python worker failed to connect back."),
        (RuntimeError("no trace at all\nsecond line"), None, QueryFailed, "no trace at all"),
        (RuntimeError("long " * 1000), None, QueryFailed, "..."),
    ],
)
def test_the_cause_is_one_sentence(
    error: Exception, failure: Exception | None, kind: type[SparkJobError], text: str
) -> None:
    cause = cause_of(error, failure)
    assert isinstance(cause, kind)
    assert text in str(cause)
    assert "\n" not in str(cause)
    assert len(str(cause)) < 600


def test_an_error_of_ours_inside_a_trace_keeps_its_class() -> None:
    assert type(cause_of(RuntimeError(LONG_TRACE))) is BridgeUnavailable


def test_a_first_line_is_cut_to_its_limit() -> None:
    assert first_line("\n one line \nanother") == "one line "
    assert first_line("x" * MAX_CAUSE_CHARACTERS) == "x" * MAX_CAUSE_CHARACTERS
    assert first_line("x" * (MAX_CAUSE_CHARACTERS + 1)) == "x" * MAX_CAUSE_CHARACTERS + "..."


def test_a_dead_java_is_reported_with_its_logs() -> None:
    assert str(java_has_died(Path("/job"))) == "the Java side of Spark has died; /job has java.log and spark.log"
