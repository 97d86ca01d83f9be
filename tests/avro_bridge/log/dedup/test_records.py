"""Newest-batch records: what a bridge still knows of each connection after a restart."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from avro_bridge.log.dedup import records
from avro_bridge.log.dedup.records import NewestBatchRecord
from avro_bridge.log.log import Log
from avro_bridge.log.settings import LogSettings
from tests.support.log_helpers import MIB, edit_batch, identified, lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    with Log.open(tmp_path, LogSettings(max_bytes=MIB)) as opened:
        yield opened


def test_each_connection_has_one_record_which_names_its_newest_batch(log: Log) -> None:
    log.append([identified("ab", connection_id=1), identified("cde", connection_id=2, received_us=5)])
    log.append([identified("f", connection_id=1, received_us=9)])
    assert log.newest_batches.all() == [NewestBatchRecord(1, 5, 1, 9), NewestBatchRecord(2, 2, 3, 5)]
    assert log.newest_batches.of(2) == NewestBatchRecord(2, 2, 3, 5)
    assert log.newest_batches.of(3) is None


def test_the_ids_come_from_the_batch_while_it_is_stored(log: Log) -> None:
    log.append([identified(["a", "", "b"], connection_id=1), lines(2, connection_id=2)])
    events, opaque = log.newest_batches.all()
    assert log.newest_batches.ids(events, "id") == {b"a", b"b"}
    assert log.newest_batches.ids(events, "other header") == frozenset()
    assert log.newest_batches.ids(events, "") == frozenset()
    assert log.newest_batches.ids(opaque, "id") == frozenset()


def test_a_damaged_batch_has_no_ids(tmp_path: Path) -> None:
    with Log.open(tmp_path, LogSettings(max_bytes=MIB)) as log:
        log.append([identified("ab")])
    edit_batch(tmp_path, 0, lambda value: value[:-1] + b"!")
    with Log.open(tmp_path, LogSettings(max_bytes=MIB)) as log:
        assert log.newest_batches.ids(log.newest_batches.all()[0], "id") == frozenset()


def test_kept_ids_outlive_the_batch(log: Log) -> None:
    log.append([identified(["old"], connection_id=1), identified(["a", "ü" * 100], connection_id=1)])
    environment = log._environment
    with environment.write("test") as transaction:
        records.keep_ids(environment, transaction, 1, 0, "id")
    assert log.newest_batches.all()[0].ids is None, "offset 0 is not the newest batch of connection 1"
    with environment.write("test") as transaction:
        records.keep_ids(environment, transaction, 1, 1, "id")
        records.keep_ids(environment, transaction, 99, 1, "id")
    kept = log.newest_batches.of(1)
    assert kept == NewestBatchRecord(1, 1, 2, 1_000_000, frozenset({b"a", ("ü" * 100).encode()}))
    assert log.newest_batches.ids(kept, "id") == kept.ids


def test_the_layout_is_the_documented_one(log: Log) -> None:
    log.append([lines(7, connection_id=258, received_us=-2)])
    environment = log._environment
    with environment.read() as transaction, transaction.cursor(environment.newest_batches) as cursor:
        assert [(bytes(key), bytes(value)) for key, value in cursor] == [
            (b"\0\0\0\0\0\0\1\2", struct.pack("<QIq", 0, 7, -2))
        ]


def test_deleted_records_are_gone_and_unknown_ones_are_ignored(log: Log) -> None:
    log.append([lines(1, connection_id=1), lines(1, connection_id=2)])
    log.append([], forget_connections=[1, 99])
    assert [each.connection_id for each in log.newest_batches.all()] == [2]
