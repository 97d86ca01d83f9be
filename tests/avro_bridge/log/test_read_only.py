"""Read-only access to a log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from avro_bridge.errors import BadRequest, LogClosed, RangeAbove, RangeBelow
from avro_bridge.log.log import Log
from avro_bridge.log.metadata import Consumer
from avro_bridge.log.settings import LogSettings
from tests.support.log_helpers import MIB, identified, lines, stored

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from avro_bridge.log.read_only import LogView


@pytest.fixture
def view(tmp_path: Path) -> Iterator[LogView]:
    """Hold the offsets 4 to 12; a process may open a log only once, so its writer is closed."""
    with Log.open(tmp_path, LogSettings(max_bytes=MIB)) as log:
        log.append([lines(4), lines(6)])
        log.start_consumer("spark", 4)
        log.retain(0)
        log.append([identified(["a", "b"], connection_id=7)], acknowledged_events=5)
        log.commit("spark", 10)
    with Log.open_readonly(tmp_path) as opened:
        yield opened


def test_each_property_is_read_from_the_file(view: LogView, tmp_path: Path) -> None:
    now = view.metadata()
    assert (view.folder, view.log_id) == (tmp_path, now.log_id)
    assert (view.first_offset, view.next_offset) == (4, 12)
    assert view.used_bytes == now.used_bytes > 0
    assert view.consumers() == {"spark": Consumer(4, 10)}
    assert (view.counters()["deleted_events"], view.counters()["acknowledged_events"]) == (4, 5)


@pytest.mark.parametrize(
    ("start", "end", "error", "text"),
    [
        (6, 5, BadRequest, "start 6 and end 5 are not a range"),
        (-1, 5, BadRequest, "start -1 and end 5 are not a range"),
        (3, 5, RangeBelow, "offset 3 is below the first one that is kept, 4"),
        (4, 13, RangeAbove, "offset 13 is above the next one to be stored, 12"),
    ],
)
def test_a_range_outside_of_the_log_is_refused(
    view: LogView, start: int, end: int, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        view.read(start, end)


def test_the_borders_of_the_log_are_a_range(view: LogView) -> None:
    assert [(first, count) for first, count, _payload in stored(view, 4, 12)] == [(4, 6), (10, 2)]
    assert stored(view, 12, 12) == []


def test_the_newest_batches_can_be_read(view: LogView) -> None:
    record = view.newest_batches.of(7)
    assert record is not None
    assert (record.first_offset, record.count) == (10, 2)
    assert view.newest_batches.ids(record, "id") == {b"a", b"b"}


def test_a_closed_view_refuses(view: LogView) -> None:
    view.close()
    view.close()
    with pytest.raises(LogClosed):
        view.metadata()
