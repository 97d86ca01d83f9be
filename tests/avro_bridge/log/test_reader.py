"""Reading ranges: edges, views, transactions that end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from avro_bridge.errors import BadRequest, LogClosed, RangeAbove, RangeBelow
from avro_bridge.log import reader as reader_module
from avro_bridge.log.log import Log
from avro_bridge.log.settings import LogSettings
from tests.support.log_helpers import MIB, lines, pending, stored

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    """A log with the batches a (0 to 2), b (3), c (4 and 5)."""
    with Log.open(tmp_path / "log", LogSettings(max_bytes=8 * MIB)) as opened:
        opened.append([pending(b"a", 3), pending(b"b", 1), pending(b"c", 2)])
        yield opened


@pytest.mark.parametrize(
    ("start", "end", "found"),
    [
        (0, 6, "abc"),
        (0, 3, "a"),
        (0, 4, "ab"),
        (1, 2, "a"),
        (2, 4, "ab"),
        (3, 4, "b"),
        (4, 6, "c"),
        (5, 6, "c"),
        (2, 5, "abc"),
        (0, 0, ""),
        (6, 6, ""),
        (4, 4, ""),
    ],
)
def test_a_range_gives_the_batches_that_hold_some_of_it(log: Log, start: int, end: int, found: str) -> None:
    assert [payload.decode() for _first, _count, payload in stored(log, start, end)] == list(found)


def test_ranges_outside_the_log_are_refused_at_once(log: Log) -> None:
    with pytest.raises(RangeAbove, match="offset 7 is above the next one to be stored, 6"):
        log.read(0, 7)
    log.start_consumer("spark", "earliest")
    log.commit("spark", 3)
    log.retain(0)
    with pytest.raises(RangeBelow, match="offset 2 is below the first one that is kept, 3"):
        log.read(2, 4)
    for start, end in ((-1, 3), (4, 3)):
        with pytest.raises(BadRequest, match="are not a range"):
            log.read(start, end)


def test_the_same_range_gives_the_same_bytes_after_more_was_stored(log: Log) -> None:
    before = stored(log, 0, 6)
    log.append([lines(1)])
    assert stored(log, 0, 6) == before


def test_a_payload_ends_with_the_next_step(log: Log) -> None:
    with log.read(0, 6) as reader:
        first = next(reader).payload
        assert bytes(first) == b"a"
        second = next(reader).payload
        with pytest.raises(ValueError, match="released"):
            bytes(first)
        reader.release()
        with pytest.raises(ValueError, match="released"):
            bytes(second)
        assert bytes(next(reader).payload) == b"c"


def test_an_array_made_of_a_payload_does_not_stop_the_reader(log: Log) -> None:
    with log.read(0, 6) as reader:
        array = pa.py_buffer(next(reader).payload)
        assert array.to_pybytes() == b"a"
        assert bytes(next(reader).payload) == b"b"
        del array


def test_a_released_reader_holds_no_transaction_and_goes_on(log: Log) -> None:
    with log.read(0, 6) as reader:
        next(reader)
        assert log._environment._readers == 1
        reader.release()
        assert log._environment._readers == 0
        assert reader.position == 3
        assert [bytes(each.payload) for each in reader] == [b"b", b"c"]
        assert log._environment._readers == 0


def test_a_reader_takes_a_new_transaction_every_some_batches(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "_BATCHES_PER_TRANSACTION", 2)
    with log.read(0, 6) as reader:
        next(reader)
        next(reader)
        log.append([lines(1)])
        first = reader._open
        next(reader)
        assert reader._open is not first


def test_what_is_deleted_while_it_waits_is_below(log: Log) -> None:
    log.start_consumer("spark", "earliest")
    with log.read(0, 6) as reader:
        next(reader)
        reader.release()
        log.commit("spark", 6)
        log.retain(0)
        with pytest.raises(RangeBelow, match="offset 3 was deleted while it was waiting; the log now starts at 6"):
            next(reader)


def test_a_reader_can_skip_but_not_go_back(log: Log) -> None:
    with log.read(0, 6) as reader:
        next(reader)
        reader.skip_to(4)
        reader.skip_to(0)
        assert bytes(next(reader).payload) == b"c"


def test_a_closed_reader_gives_nothing_more(log: Log) -> None:
    reader = log.read(0, 6)
    next(reader)
    reader.close()
    assert list(reader) == []


def test_closing_the_log_ends_a_reader_at_its_next_transaction(log: Log) -> None:
    with log.read(0, 6) as reader:
        payload = next(reader).payload
        log.close()
        assert bytes(payload) == b"a"
        reader.release()
        with pytest.raises(LogClosed):
            next(reader)
