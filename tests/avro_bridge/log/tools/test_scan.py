"""Scan: reads a log past its damage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from avro_bridge.errors import RangeAbove
from avro_bridge.log.log import Log
from avro_bridge.log.settings import LogSettings
from avro_bridge.log.tools.scan import DamagedRange, scan
from tests.support.log_helpers import MIB, edit_batch, lines

if TYPE_CHECKING:
    from pathlib import Path

    from avro_bridge.log.read_only import LogView


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Hold batches at 0 to 3, 3 to 5, 5 to 9 and 9 to 10."""
    with Log.open(tmp_path, LogSettings(max_bytes=MIB)) as log:
        log.append([lines(3), lines(2), lines(4), lines(1)])
    return tmp_path


def found(view: LogView, start: int, end: int) -> list[tuple[int, int] | DamagedRange]:
    """Return first and last offset of each batch, and each damaged range."""
    return [
        each if isinstance(each, DamagedRange) else (each.first_offset, each.end_offset - 1)
        for each in scan(view, start, end)
    ]


def test_a_whole_log_is_read_batch_by_batch(folder: Path) -> None:
    with Log.open_readonly(folder) as view:
        assert found(view, 0, 10) == [(0, 2), (3, 4), (5, 8), (9, 9)]
        assert found(view, 4, 6) == [(3, 4), (5, 8)]
        assert found(view, 10, 10) == []


def test_a_damaged_batch_stands_in_its_place_and_the_rest_follows(folder: Path) -> None:
    edit_batch(folder, 3, lambda value: value[:-1] + b"!")
    with Log.open_readonly(folder) as view:
        assert found(view, 0, 10) == [
            (0, 2),
            DamagedRange(3, 4, "the stored batch does not match its checksum"),
            (5, 8),
            (9, 9),
        ]


def test_a_missing_batch_is_a_damaged_range(folder: Path) -> None:
    edit_batch(folder, 5, lambda _value: None)
    with Log.open_readonly(folder) as view:
        gap = found(view, 0, 10)[2]
        assert isinstance(gap, DamagedRange)
        assert (gap.first, gap.last, gap.events) == (5, 8, 4)


def test_a_batch_of_another_version_is_a_damaged_range(folder: Path) -> None:
    edit_batch(folder, 0, lambda value: b"\x09" + value[1:])
    with Log.open_readonly(folder) as view:
        first = found(view, 0, 10)[0]
        assert isinstance(first, DamagedRange)
        assert (first.first, first.last) == (0, 2)
        assert "format version 9" in first.reason


def test_what_is_deleted_meanwhile_is_skipped(tmp_path: Path) -> None:
    with Log.open(tmp_path, LogSettings(max_bytes=MIB)) as log:
        log.append([lines(1)] * 100)
        scanning = scan(log, 0, 100)
        # As many batches as one read transaction takes; before its end the reader would not see the deletion.
        for _batch in range(64):
            next(scanning)
        log.start_consumer("spark", 90)
        log.retain(0)
        assert [each.first_offset for each in scanning if not isinstance(each, DamagedRange)] == list(range(90, 100))


def test_a_range_beyond_the_log_is_refused(folder: Path) -> None:
    with Log.open_readonly(folder) as view, pytest.raises(RangeAbove):
        found(view, 0, 11)
