"""The ledger entry of a batch: all batches since the last stored one, as their tasks read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_job.errors import AccountingError
from spark_job.ranges import LogRange
from spark_job.runner.dstreams.batch_entry import entry_of
from spark_job.runner.dstreams.batch_plans import BatchPlan
from tests.support.deliveries import write_audit

if TYPE_CHECKING:
    from pathlib import Path


def test_batches_without_a_result_belong_to_the_next_one(tmp_path: Path) -> None:
    plans = [
        BatchPlan(1000, {"a": 3}, {"a": 5}),
        BatchPlan(2000, {"a": 5, "b": 7}, {"a": 5, "b": 8}),
        BatchPlan(3000, {"a": 5, "b": 8}, {"a": 9, "b": 8}),
    ]
    write_audit(tmp_path, LogRange("a", 3, 5), malformed=1)
    write_audit(tmp_path, LogRange("b", 7, 8))
    write_audit(tmp_path, LogRange("a", 5, 9), malformed=2)
    entry, counted = entry_of(plans, "results", tmp_path)
    assert (entry.query_id, entry.batch_id) == ("results", 3000)
    assert entry.ranges == (LogRange("a", 3, 9), LogRange("b", 7, 8))
    assert (entry.read, entry.malformed, entry.lost, counted) == (7, 3, 0, 4)


def test_lost_events_are_refused_or_counted(tmp_path: Path) -> None:
    plans = [BatchPlan(1000, {"a": 0}, {"a": 5})]
    write_audit(tmp_path, LogRange("a", 0, 5), lost=2)
    with pytest.raises(AccountingError, match="3 events of the range 0 to 5"):
        entry_of(plans, "results", tmp_path)
    entry, counted = entry_of(plans, "results", tmp_path, allow_loss=True)
    assert (entry.read, entry.lost, counted) == (3, 2, 3)


def test_a_batch_whose_tasks_have_not_run_has_no_entry(tmp_path: Path) -> None:
    with pytest.raises(AccountingError, match="end at offset 0, the micro-batch ends at 5"):
        entry_of([BatchPlan(1000, {"a": 0}, {"a": 5})], "results", tmp_path)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=6), st.data())
def test_the_entry_of_several_batches_is_the_sum_of_theirs(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], data: st.DataObject
) -> None:
    audit, reached, plans = tmp_path_factory.mktemp("audit"), 0, []
    for number, size in enumerate(sizes):
        plans.append(BatchPlan(number, {"a": reached}, {"a": reached + size}))
        if size:
            write_audit(audit, LogRange("a", reached, reached + size), malformed=data.draw(st.integers(0, size)))
        reached += size
    entry, counted = entry_of(plans, "results", audit)
    alone = [entry_of([plan], "results", audit) for plan in plans]
    assert entry.read == reached == sum(each.read for each, _ in alone)
    assert (entry.malformed, counted) == (sum(each.malformed for each, _ in alone), sum(lines for _, lines in alone))
    assert entry.read == entry.malformed + counted
