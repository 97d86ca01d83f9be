"""A query as the watch sees it: why it ended, and a stop between two micro-batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
from pyspark.errors import PySparkException

from spark_job.accounting.spark_checkpoint import Checkpoint
from spark_job.errors import DataLoss, QueryFailed, SinkError
from spark_job.runner.structured.running_query import STOP_WITHIN_S, RunningQuery
from tests.support.clock import Clock

if TYPE_CHECKING:
    from pathlib import Path


class Query:
    """A query that is in a micro-batch, or not; a real one that hangs cannot be had on request."""

    def __init__(self, *, active: bool = True, in_batch: bool = False, error: Exception | None = None) -> None:
        self.isActive = active
        self.lastProgress = {"batchId": 3}
        self.looks = 0
        self._in_batch = in_batch
        self._error = error
        self.commit_at_look: tuple[int, Path] | None = None
        self.refuses_to_stop = False

    def exception(self) -> Exception | None:
        return self._error

    @property
    def status(self) -> dict[str, bool]:
        self.looks += 1
        if self.commit_at_look is not None and self.looks == self.commit_at_look[0]:
            self.commit_at_look[1].write_text("v1\n{}")
        return {"isTriggerActive": self._in_batch, "isDataAvailable": self._in_batch}

    def stop(self) -> None:
        if self.refuses_to_stop:
            raise PySparkException("it takes too long\n\tat java.lang.Thread")
        self.isActive = False


class Writer:
    """A batch function that raised something, or not."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure


def running(query: Query, folder: Path, failure: Exception | None = None) -> RunningQuery:
    (folder / "commits").mkdir(exist_ok=True)
    return RunningQuery(cast("Any", query), Writer(failure), Checkpoint(folder), Clock(step_s=1.0))


def test_a_query_that_died_says_why(tmp_path: Path) -> None:
    running(Query(), tmp_path).check()
    error = RuntimeError("Traceback\nspark_job.errors.DataLoss: events 3 to 4 are gone\n  at java.lang.Thread")
    with pytest.raises(DataLoss, match="events 3 to 4 are gone"):
        running(Query(active=False, error=error), tmp_path).check()
    with pytest.raises(QueryFailed, match="without an error"):
        running(Query(active=False), tmp_path).check()
    full = SinkError("counts.db: no space")
    with pytest.raises(SinkError, match="no space"):
        running(Query(active=False, error=RuntimeError("py4j")), tmp_path, full).check()


def test_a_stop_waits_for_the_commit_of_the_micro_batch_that_runs(tmp_path: Path) -> None:
    query = Query(in_batch=True)
    found = running(query, tmp_path)
    query.commit_at_look = (3, tmp_path / "commits" / "7")
    assert found.stop() == ""
    assert (query.looks, query.isActive) == (3, False)


def test_a_stop_does_not_wait_for_ever(tmp_path: Path) -> None:
    query = Query(in_batch=True)
    assert running(query, tmp_path).stop() == ""
    assert query.looks == STOP_WITHIN_S
    assert not query.isActive


def test_what_the_batch_function_raised_while_it_was_stopped_is_not_lost(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="no space"):
        running(Query(), tmp_path, SinkError("counts.db: no space")).stop()
    interrupted = RuntimeError("py4j: interrupted by the stop")
    assert running(Query(), tmp_path, interrupted).stop() == ""


def test_a_stop_that_spark_refuses_is_told(tmp_path: Path) -> None:
    query = Query()
    query.refuses_to_stop = True
    assert running(query, tmp_path).stop() == "the query did not stop in time: it takes too long"


def test_progress_is_that_of_spark(tmp_path: Path) -> None:
    assert running(Query(), tmp_path).progress() == {"batchId": 3}
