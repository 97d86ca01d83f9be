"""The file of plans: what is planned stays, is booked once, and goes only when nothing can ask for it."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from spark_job.errors import AccountingError, SinkError
from spark_job.ranges import LogRange
from spark_job.runner.dstreams.planned_batches import BatchAccount, PlannedBatch, PlannedBatches

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def batches(tmp_path: Path) -> Iterator[PlannedBatches]:
    with closing(PlannedBatches(tmp_path / "batches.db")) as opened:
        yield opened


def batch(time_s: int, start: int, end: int) -> PlannedBatch:
    return PlannedBatch(time_s * 1000, {"log": start}, {"log": end})


def booking(time_s: int, read: int) -> BatchAccount:
    return BatchAccount(time_s * 1000, read=read, counted=read - 1, malformed=1, lost=0)


def test_a_plan_outlives_the_process(tmp_path: Path) -> None:
    with closing(PlannedBatches(tmp_path / "batches.db")) as first:
        assert (first.begun, first.newest_ms(), first.positions()) == (False, None, {})
        first.begin({"log": 5})
        first.begin({"log": 99})
        assert first.positions() == first.accounted_positions() == {"log": 5}
        first.put(batch(1, 5, 8))
        query_id = first.query_id
    with closing(PlannedBatches(tmp_path / "batches.db")) as second:
        assert second.query_id == query_id
        assert second.begun
        assert second.get(1000) == batch(1, 5, 8)
        assert second.get(1000).ranges == [LogRange("log", 5, 8)]  # type: ignore[union-attr] # it is there
        assert (second.get(2000), second.newest_ms(), second.positions()) == (None, 1000, {"log": 8})
        assert second.accounted_positions() == {"log": 5}


def test_a_batch_is_booked_once(batches: PlannedBatches) -> None:
    batches.begin({"log": 0})
    for each in (batch(1, 0, 4), batch(2, 4, 4), batch(3, 4, 9)):
        batches.put(each)
    assert [each.time_ms for each in batches.unaccounted(2000)] == [1000, 2000]
    batches.account_for([booking(1, 4), booking(2, 0)])
    batches.account_for([booking(1, 4), booking(3, 5)])
    tally = batches.tally()
    assert (tally.read, tally.counted, tally.malformed, tally.lost) == (9, 6, 3, 0)
    assert batches.unaccounted(9000) == []
    assert batches.accounted_positions() == {"log": 9}
    assert batches.get(1000).accounted  # type: ignore[union-attr] # it is there


def test_what_is_no_longer_kept_is_not_planned_anew(batches: PlannedBatches) -> None:
    for second in range(1, 6):
        batches.put(batch(second, second, second + 1))
    batches.account_for(booking(second, 1) for second in (1, 2, 4))
    batches.forget_before(5000)
    assert batches.get(3000) is not None, "not booked yet"
    assert batches.before(4000) == {"log": 4}
    assert batches.before(3000) is None
    with pytest.raises(AccountingError, match="Spark asks for batch 1000"):
        batches.get(1000)
    batches.account_for([booking(5, 1), booking(3, 1)])
    batches.forget_before(99_000)
    assert batches.positions() == {"log": 6}, "the newest one says where to go on"


def test_plans_that_no_checkpoint_knows_are_planned_again(batches: PlannedBatches) -> None:
    batches.begin_streams()
    batches.put(batch(1, 0, 4))
    batches.account_for([booking(1, 4)])
    batches.put(batch(2, 4, 9))
    assert [batches.is_first(second * 1000) for second in (1, 2)] == [True, False]
    batches.drop_unaccounted()
    assert batches.positions() == {"log": 4}
    batches.begin_streams()
    batches.put(batch(3, 4, 6))
    assert [batches.is_first(second * 1000) for second in (1, 2, 3)] == [False, False, True]


def test_a_file_that_is_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "batches.db").write_bytes(b"no database" * 100)
    with pytest.raises(SinkError, match=r"batches\.db: cannot be opened"):
        PlannedBatches(tmp_path / "batches.db")
