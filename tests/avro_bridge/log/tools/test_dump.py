"""Dump: the items for whole and damaged batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from avro_bridge.errors import RangeAbove
from avro_bridge.log.log import Log
from avro_bridge.log.record import PayloadKind
from avro_bridge.log.settings import LogSettings
from avro_bridge.log.tools.dump import BatchSummary, EventSummary, dump_batches, dump_events, shown
from avro_bridge.log.tools.scan import DamagedRange
from tests.support.avro_events import write
from tests.support.log_helpers import MIB, edit_batch, lines, pending

if TYPE_CHECKING:
    from pathlib import Path

EVENTS = [({"id": "1", "host": "h"}, b"GET /a"), ({}, b"\x1b[31m\xff"), ({"id": "3"}, b"")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    payload = write(EVENTS)
    with Log.open(tmp_path, LogSettings(max_bytes=MIB)) as log:
        log.append([lines(2, 7, connection_id=5), pending(payload, 3, kind=PayloadKind.EVENTS, connection_id=6)])
        log.append([pending(b"junk", 1, kind=PayloadKind.EVENTS), lines(1)])
    edit_batch(tmp_path, 6, lambda value: value[:-1])
    return tmp_path


def test_batches(folder: Path) -> None:
    with Log.open_readonly(folder) as view:
        found = list(dump_batches(view, 1, 7))
    size = len(write(EVENTS))
    assert found[:2] == [
        BatchSummary(0, 2, "lines", 1_000_000, 5, 7),
        BatchSummary(2, 3, "events", 1_000_000, 6, size),
    ]
    assert isinstance(found[3], DamagedRange)


def test_events_with_escaped_and_bounded_bodies(folder: Path) -> None:
    with Log.open_readonly(folder) as view:
        found = list(dump_events(view, 0, 7, body_bytes=4))
    assert found[0] == BatchSummary(0, 2, "lines", 1_000_000, 5, 7)
    assert found[1:4] == [
        EventSummary(2, 1_000_000, 6, 2, 6, "GET "),
        EventSummary(3, 1_000_000, 6, 0, 6, "\\x1b[31"),
        EventSummary(4, 1_000_000, 6, 1, 0, ""),
    ]
    assert [type(each) for each in found[4:]] == [DamagedRange, DamagedRange]


def test_events_of_a_range_without_bodies(folder: Path) -> None:
    with Log.open_readonly(folder) as view:
        found = list(dump_events(view, 3, 4))
    assert found == [EventSummary(3, 1_000_000, 6, 0, 6, None)]


def test_ranges_outside_the_log_are_refused(folder: Path) -> None:
    with Log.open_readonly(folder) as view, pytest.raises(RangeAbove):
        list(dump_batches(view, 0, 8))


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"plain text", "plain text"),
        ("Grüße".encode(), "Grüße"),
        (b"a\r\n\t\x00", "a\\r\\n\\t\\x00"),
        (b"back\\slash", "back\\\\slash"),
        (b"\xff\xfe", "\\udcff\\udcfe"),
        ("\u202e\u2028".encode(), "\\u202e\\u2028"),
    ],
)
def test_escaped_text_is_safe_to_print(body: bytes, text: str) -> None:
    assert shown(body) == text
    assert shown(body).isprintable()
