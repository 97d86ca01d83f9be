"""The file of plans: what is planned stays as it is, and goes only when nothing can ask for it."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from spark_job.errors import AccountingError, JobFolderError, SinkError
from spark_job.ranges import LogRange
from spark_job.runner.dstreams.batch_plans import BatchPlan, BatchPlans

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def plans(tmp_path: Path) -> Iterator[BatchPlans]:
    with closing(BatchPlans(tmp_path / "batches.db")) as opened:
        yield opened


def plan(time_s: int, start: int, end: int) -> BatchPlan:
    return BatchPlan(time_s * 1000, {"log": start}, {"log": end})


def test_a_plan_outlives_the_process(tmp_path: Path) -> None:
    with closing(BatchPlans(tmp_path / "batches.db")) as first:
        assert (first.begun, first.newest_ms(), first.positions()) == (False, None, {})
        first.begin({"log": 5})
        first.begin({"log": 99})
        assert first.positions() == first.positions(-1) == {"log": 5}
        first.put(plan(1, 5, 8))
    with closing(BatchPlans(tmp_path / "batches.db")) as second:
        assert second.begun
        found = second.get(1000)
        assert found == plan(1, 5, 8)
        assert found.ranges == [LogRange("log", 5, 8)]
        assert (second.get(2000), second.newest_ms(), second.positions()) == (None, 1000, {"log": 8})


def test_positions_are_those_of_the_batches_up_to_a_time(plans: BatchPlans) -> None:
    plans.begin({"log": 2})
    for each in (plan(1, 2, 4), plan(2, 4, 4), plan(3, 4, 9)):
        plans.put(each)
    assert [plans.positions(up_to_ms)["log"] for up_to_ms in (-1, 999, 1000, 2500, 3000)] == [2, 2, 4, 4, 9]
    assert plans.positions() == {"log": 9}
    assert plans.between(-1, 2000) == [plan(1, 2, 4), plan(2, 4, 4)]
    assert plans.between(1000, 3000) == [plan(2, 4, 4), plan(3, 4, 9)]
    assert plans.between(3000, 9000) == []


def test_what_is_no_longer_kept_is_not_planned_again(plans: BatchPlans) -> None:
    for second in range(1, 6):
        plans.put(plan(second, second, second + 1))
    plans.forget_before(3000)
    assert plans.get(3000) is not None
    assert plans.before(4000) == {"log": 4}
    assert plans.before(3000) is None
    with pytest.raises(AccountingError, match="Spark asks for batch 1000"):
        plans.get(1000)


def test_plans_that_no_checkpoint_knows_are_planned_again(plans: BatchPlans) -> None:
    plans.begin_streams()
    plans.put(plan(1, 0, 4))
    plans.put(plan(2, 4, 9))
    assert [plans.is_first(second * 1000) for second in (1, 2)] == [True, False]
    plans.drop_after(1000)
    assert plans.positions() == {"log": 4}
    plans.begin_streams()
    plans.put(plan(3, 4, 6))
    assert [plans.is_first(second * 1000) for second in (1, 2, 3)] == [False, False, True]


def test_another_results_table_is_refused(tmp_path: Path) -> None:
    for table_id in ("one", "one"):
        with closing(BatchPlans(tmp_path / "batches.db")) as plans:
            plans.check_table(table_id)
    with closing(BatchPlans(tmp_path / "batches.db")) as plans, pytest.raises(JobFolderError, match=r"counts\.db lost"):
        plans.check_table("two")


def test_a_file_that_is_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "batches.db").write_bytes(b"no database" * 100)
    with pytest.raises(SinkError, match=r"batches\.db: cannot be opened"):
        BatchPlans(tmp_path / "batches.db")
