"""The double keeps blocks as the contract has them: whole, in parts, and only for readers that know them."""

from __future__ import annotations

import pytest

from avro_bridge.contract import Place, Ticket, schema
from avro_bridge.errors import BadRequest
from tests.support.flight_double import MemoryLog

FILE = bytes(range(32))


def filled() -> MemoryLog:
    log = MemoryLog(bodies=[b"event"])
    log.add_block(b"a\r\n\nlast", position=100, file_id=FILE)
    log.add_block(b"begin\nning", position=109, length=999, file_id=FILE)
    log.extend([b"event"])
    return log


def test_rows_of_one_record_batch_are_all_events_or_all_blocks() -> None:
    log = filled()
    batches = list(log.batches(Ticket(log.log_id, 0, 6, blocks=True)))
    assert all(batch.schema == schema(headers=False, blocks=True) for batch in batches)
    assert [batch["count"].to_pylist() for batch in batches] == [[1], [3, 1], [1]]
    assert [batch["place"].null_count for batch in batches] == [1, 0, 1]
    assert [place.as_py() for place in batches[1]["place"]] == [
        Place(FILE, 100, 8).to_bytes(),
        Place(FILE, 109, 999).to_bytes(),
    ]


def test_a_part_of_a_block_has_the_place_of_its_own_lines() -> None:
    log = filled()
    (batch,) = log.batches(Ticket(log.log_id, 2, 4, blocks=True))
    assert (batch["offset"].to_pylist(), batch["count"].to_pylist()) == ([2], [2])
    assert batch["body"].to_pylist() == [b"\nlast"]
    assert Place.from_bytes(batch["place"][0].as_py()) == Place(FILE, 103, 5)


def test_a_reader_that_does_not_know_blocks_gets_events_only() -> None:
    log = filled()
    log.refuse_blocks(Ticket(log.log_id, 0, 1))
    log.refuse_blocks(Ticket(log.log_id, 5, 6))
    log.refuse_blocks(Ticket(log.log_id, 0, 6, blocks=True))
    for start, end in ((0, 2), (4, 5), (0, 6)):
        with pytest.raises(BadRequest, match="has blocks"):
            log.refuse_blocks(Ticket(log.log_id, start, end))
