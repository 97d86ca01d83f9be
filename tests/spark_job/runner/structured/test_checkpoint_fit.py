"""Whether a query can go on from a checkpoint: it must be whole, and end where the table ends or before."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from spark_job.accounting.spark_checkpoint import Checkpoint
from spark_job.runner.results.embedded_records import NewestStored
from spark_job.runner.structured.checkpoint_fit import starts_again, why_not
from tests.support.counts import LOG, QUERY

if TYPE_CHECKING:
    from pathlib import Path


def plan(folder: Path, number: int, *, committed: bool) -> None:
    for name, text in (
        ("offsets", f'v1\n{{"batchWatermarkMs": 0}}\n{{"{LOG}": {10 * (number + 1)}}}'),
        ("commits", "v1\n{}"),
    ):
        (folder / name).mkdir(parents=True, exist_ok=True)
        if name == "offsets" or committed:
            (folder / name / str(number)).write_text(text)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint with micro-batches 0 to 2 of ten lines each; the last one is not committed."""
    for number in range(3):
        plan(tmp_path, number, committed=number < 2)
    (tmp_path / "metadata").write_text(f'{{"id": "{QUERY}"}}')
    return tmp_path


def stored(batch_id: int, *, settled: bool = False, query: str = QUERY) -> tuple[NewestStored, dict[str, int]]:
    end = 10 * (batch_id + 1)
    return NewestStored(query, batch_id, {LOG: (end - 10, end)}, settled), {LOG: end}


@pytest.mark.parametrize(("batch_id", "settled"), [(2, False), (1, True), (1, False), (0, False)])
def test_a_checkpoint_fits_that_reaches_the_newest_batch_or_goes_further(
    folder: Path, batch_id: int, *, settled: bool
) -> None:
    assert why_not(Checkpoint(folder), *stored(batch_id, settled=settled)) == ""


def test_reasons_against_a_checkpoint(folder: Path) -> None:
    def reason(batch_id: int = 2, *, settled: bool = False, query: str = QUERY) -> str:
        return why_not(Checkpoint(folder), *stored(batch_id, settled=settled, query=query))

    assert reason(query="another") == "it is of another query"
    assert "micro-batch 3 holds" in reason(3), "it is older than the table"
    assert reason(2, settled=True) == "it is damaged: the commit of micro-batch 2 is missing or cannot be read"
    (folder / "commits" / "1").write_text("v1\n{")
    assert reason() == "it is damaged: the commit of micro-batch 1 is missing or cannot be read"
    newest, _ = stored(2)
    assert why_not(Checkpoint(folder), newest, {LOG: 29}) == "its micro-batch 2 ends at other offsets"
    (folder / "offsets" / "1").write_text("")
    assert "micro-batch 1 holds" in reason()
    (folder / "metadata").write_text("")
    assert "no query id in it" in reason()
    shutil.rmtree(folder)
    assert reason() == "it is missing"


def test_a_damaged_state_is_found_by_its_checksums(folder: Path) -> None:
    state = folder / "state" / "0" / "0"
    state.mkdir(parents=True)
    (state / "2.delta").write_bytes(b"half a")
    (state / ".2.delta.crc").write_bytes(b"")
    assert why_not(Checkpoint(folder), *stored(2)) == f"it is damaged: {state / '2.delta'}"
    assert why_not(Checkpoint(folder), *stored(0)) == "", "that state is made again"


def test_the_first_batch_begins_where_it_began(folder: Path) -> None:
    newest = NewestStored(QUERY, 0, {LOG: (4, 10)}, settled=False)
    (folder / "offsets" / "0").write_text(f'v1\n{{"batchWatermarkMs": 0}}\n{{"{LOG}": 10, "log-b": 7}}')
    assert starts_again(Checkpoint(folder), newest, {LOG: 10}) == {LOG: 4, "log-b": 7}
    later, positions = stored(2)
    assert starts_again(Checkpoint(folder), later, positions) == positions


def test_a_log_that_joined_in_the_newest_batch_begins_where_it_began(folder: Path) -> None:
    newest = NewestStored(QUERY, 1, {LOG: (10, 12), "log-b": (3, 8)}, settled=False)
    for number, ends in enumerate(({LOG: 10}, {LOG: 12, "log-b": 8})):
        (folder / "offsets" / str(number)).write_text(f'v1\n{{"batchWatermarkMs": 0}}\n{json.dumps(ends)}')
    found = starts_again(Checkpoint(folder), newest, {LOG: 12, "log-b": 8})
    assert found == {LOG: 12, "log-b": 3}
