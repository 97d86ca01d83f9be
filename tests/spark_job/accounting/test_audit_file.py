"""Audit files are written whole or not at all, and read back as they were written."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_job.accounting.audit_file import AuditRecord, AuditWriter, read_audit, remove_leftovers
from spark_job.accounting.open_panes import write_open_from
from spark_job.errors import AccountingError, AuditError
from spark_job.ranges import LogRange, Part

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = LogRange("log-a", 0, 20)
PANE_US = 60_000_000
MALFORMED = pl.DataFrame(
    {
        "offset": [3],
        "received": [datetime(2024, 5, 1, 12, 0, 30, 5, tzinfo=UTC)],
        "error": ["no-match"],
        "raw": ['a "line'],
    }
)


def write(folder: Path, part: Part, *, malformed: int = 0, pane_us: int = PANE_US) -> None:
    with AuditWriter(folder, part, pane_us) as audit:
        audit.record.add(part.end - part.start, {0: part.end - part.start - malformed})
        if malformed:
            audit.add_dead_letters(MALFORMED)
        audit.finish()


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@given(
    st.lists(
        st.tuples(
            st.integers(0, 50),
            st.integers(0, 50),
            st.dictionaries(st.integers(-(2**62), 2**62), st.integers(1, 9), max_size=4),
        )
    )
)
def test_a_record_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, tables: list[tuple[int, int, dict[int, int]]]
) -> None:
    record = AuditRecord("log-a", 5, 100_000, PANE_US)
    for malformed, too_old, panes in tables:
        record.add(malformed + too_old + sum(panes.values()), panes, too_old)
    path = tmp_path_factory.mktemp("audit") / "5-100000.json"
    path.write_bytes(record.as_bytes())
    assert AuditRecord.read(path) == record
    assert record.malformed == sum(malformed for malformed, _, _ in tables)
    assert record.too_old == sum(too_old for _, too_old, _ in tables)


def test_a_file_without_too_old_lines_is_one_of_the_version_before(tmp_path: Path) -> None:
    path = tmp_path / "0-20.json"
    fields = {"log_id": "log-a", "start": 0, "end": 20, "pane_us": PANE_US, "events": 20, "malformed": 3}
    path.write_text(json.dumps(fields | {"panes": {"0": 17}}))
    assert AuditRecord.read(path) == AuditRecord("log-a", 0, 20, PANE_US, events=20, malformed=3, panes={0: 17})


@pytest.mark.parametrize("too_old", [1, 3])
def test_a_file_whose_lines_do_not_add_up_is_refused(tmp_path: Path, too_old: int) -> None:
    path = tmp_path / "0-20.json"
    record = AuditRecord("log-a", 0, 20, PANE_US, events=20, malformed=3, too_old=too_old, panes={0: 15})
    path.write_bytes(record.as_bytes())
    with pytest.raises(AccountingError, match=f"{18 + too_old} in panes, malformed or too old, 20 events"):
        AuditRecord.read(path)


def test_the_parts_of_a_range_are_read_in_order(tmp_path: Path) -> None:
    write(tmp_path, Part(9, 20, WHOLE))
    write(tmp_path, Part(0, 9, WHOLE), malformed=1)
    found = [(each.start, each.end, each.malformed, each.panes) for each in read_audit(tmp_path, WHOLE, PANE_US)]
    assert found == [(0, 9, 1, {0: 8}), (9, 20, 0, {0: 11})]


def test_a_dead_letter_says_where_and_when_the_line_arrived(tmp_path: Path) -> None:
    write(tmp_path, Part(0, 20, WHOLE), malformed=1)
    assert json.loads((tmp_path / "log-a/0-20/0-20.malformed.jsonl").read_text()) == {
        "log_id": "log-a",
        "offset": 3,
        "received": "2024-05-01T12:00:30.000005Z",
        "error": "no-match",
        "raw": 'a "line',
    }


def test_a_task_that_does_not_finish_leaves_no_file(tmp_path: Path) -> None:
    with AuditWriter(tmp_path, Part(0, 20, WHOLE), PANE_US) as audit:
        audit.add_dead_letters(MALFORMED)
        assert names(tmp_path) != []
    assert names(tmp_path) == []


def test_leftovers_of_another_plan_are_removed_and_what_the_tasks_will_write_stays(tmp_path: Path) -> None:
    other = LogRange("log-a", 20, 30)
    write(tmp_path, Part(0, 20, WHOLE), malformed=1)
    write(tmp_path, Part(20, 30, other))
    (tmp_path / "log-a/0-20/.0-9.json.0123").touch()
    remove_leftovers(tmp_path, [Part(0, 9, WHOLE), Part(9, 20, WHOLE)])
    assert names(tmp_path) == ["log-a/20-30/20-30.json"]
    remove_leftovers(tmp_path, [Part(20, 30, other), Part(0, 5, LogRange("new", 0, 5))])
    assert names(tmp_path) == ["log-a/20-30/20-30.json"]


def test_the_instant_from_which_panes_are_open_is_no_leftover(tmp_path: Path) -> None:
    write(tmp_path, Part(0, 20, WHOLE))
    write_open_from(tmp_path, 7)
    remove_leftovers(tmp_path, [Part(0, 9, WHOLE), Part(9, 20, WHOLE)])
    assert names(tmp_path) == ["open-from"]
    write(tmp_path, Part(0, 20, WHOLE))
    assert [each.events for each in read_audit(tmp_path, WHOLE, PANE_US)] == [20]


def test_what_cannot_be_written_is_an_error_that_names_the_folder(tmp_path: Path) -> None:
    (tmp_path / "log-a").touch()
    with pytest.raises(AuditError, match="log-a/0-20 cannot be written: Not a directory"):
        write(tmp_path, Part(0, 20, WHOLE))


def test_an_audit_of_other_panes_is_refused(tmp_path: Path) -> None:
    write(tmp_path, Part(0, 20, WHOLE), pane_us=7)
    with pytest.raises(AccountingError, match="panes of 7 us, not of log log-a with panes of 60000000 us"):
        list(read_audit(tmp_path, WHOLE, PANE_US))


def test_the_folder_of_the_last_run_is_read_where_the_beginning_was_lost_again_and_again(tmp_path: Path) -> None:
    """Each run found less of the range 0 to 20."""
    for start in (4, 12):
        left = LogRange("log-a", start, 20)
        write(tmp_path, Part(start, 20, left))
    assert [each.start for each in read_audit(tmp_path, WHOLE, PANE_US, allow_loss=True)] == [12]
    with pytest.raises(AccountingError, match="end at offset 0"):
        list(read_audit(tmp_path, WHOLE, PANE_US))
