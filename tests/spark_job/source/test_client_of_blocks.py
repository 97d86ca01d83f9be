"""The client reads blocks: from and to any line, from old bridges too, and only what the contract allows."""

from __future__ import annotations

import json
from dataclasses import replace

import pyarrow as pa
import pytest
from pyarrow import flight

from avro_bridge.contract import LogStatus, Place
from avro_bridge.errors import BadRequest
from spark_job.blocks import is_blocks, lines_in, lines_of
from spark_job.errors import BridgeRefused
from spark_job.source.bridge_client import BridgeClient, RetryPolicy
from spark_job.source.options import Address, Security
from tests.support.flight_double import FlightDouble, MemoryLog

BODIES = [b"event %d" % n for n in range(2500)]


def client_of(address: str) -> BridgeClient:
    host, port = address.rsplit(":", 1)
    return BridgeClient(Address(host, int(port)), Security(), RetryPolicy(5.0, first_delay_s=0.01))


def log_of_blocks() -> MemoryLog:
    """Two events, a block of a thousand lines, a cut line, a block without a last line feed, three events."""
    log = MemoryLog(bodies=[b"event 0", b"event 1"])
    log.add_block(b"".join(b"line %d\n" % number for number in range(1000)), position=50)
    log.add_block(b"the begin", length=4000)
    log.add_block(b"\r\n\nlast")
    log.extend([b"event 1006", b"event 1007", b"event 1008"])
    return log


def read_lines(client: BridgeClient, log: MemoryLog, start: int = 0, end: int = 1009) -> list[tuple[int, bytes]]:
    found = []
    for batch in client.read(log.log_id, start, end, headers=False):
        for rows in lines_of(batch, 300) if is_blocks(batch) else [batch]:
            found += list(zip(rows["offset"].to_pylist(), rows["body"].to_pylist(), strict=True))
    return found


def test_blocks_and_events_are_read_with_their_own_columns() -> None:
    log = log_of_blocks()
    with FlightDouble(log) as double, client_of(double.address) as client:
        batches = list(client.read(log.log_id, 0, 1009, headers=True))
    names = [batch.schema.names for batch in batches]
    events, blocks = (
        ["offset", "received", "body", "headers"],
        ["offset", "count", "received", "place", "body", "headers"],
    )
    assert names == [events, *[blocks] * (len(names) - 2), events]
    assert [lines_in(batch) for batch in batches] == [2, 1000, 4, 3]
    assert Place.from_bytes(batches[1]["place"][0].as_py()) == Place(bytes(32), 50, len(batches[1]["body"][0].as_py()))


@pytest.mark.parametrize(("start", "end"), [(0, 1009), (2, 1002), (3, 4), (500, 1003), (1002, 1003), (1003, 1006)])
def test_a_range_may_begin_and_end_inside_of_a_block(start: int, end: int) -> None:
    log = log_of_blocks()
    with FlightDouble(log) as double, client_of(double.address) as client:
        found = read_lines(client, log, start, end)
    assert found == [(number, log.bodies[number].removesuffix(b"\n")) for number in range(start, end)]


@pytest.mark.parametrize("break_after", [1, 2, 500, 1002, 1003])
def test_a_read_that_breaks_off_in_a_block_continues_at_the_next_line(
    break_after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.support.flight_double.MAX_BATCH_EVENTS", 250)
    log = log_of_blocks()
    with FlightDouble(log) as double, client_of(double.address) as client:
        double.break_reads_after = [break_after, 0, break_after, 1]
        assert [offset for offset, _ in read_lines(client, log)] == list(range(1009))


class OldBridge(FlightDouble):
    """A bridge of the version before blocks: it refuses a ticket with a field that it does not know."""

    def do_get(self, context, ticket):  # type: ignore[no-untyped-def]  # as in the base
        if b"blocks" in ticket.ticket:
            details = {"case": BadRequest.case, "message": "ticket: unexpected keyword argument 'blocks'"}
            raise flight.FlightServerError("refused", extra_info=json.dumps(details).encode())
        return super().do_get(context, ticket)

    def _status(self) -> LogStatus:
        return replace(super()._status(), version=1)


def test_a_bridge_that_does_not_know_blocks_is_read_as_before_and_may_be_upgraded_meanwhile() -> None:
    log = MemoryLog(bodies=list(BODIES))
    with OldBridge(log) as old:
        client, port = client_of(old.address), old.port
        assert read_lines(client, log, 0, 2500) == list(enumerate(BODIES))
    log.add_block(b"a\nb\n")
    with FlightDouble(log, port), client:
        assert read_lines(client, log, 2499, 2502) == [(2499, BODIES[-1]), (2500, b"a"), (2501, b"b")]


def test_a_bridge_that_knows_blocks_and_refuses_is_not_asked_again() -> None:
    class Refusing(MemoryLog):
        def batches(self, ticket):  # type: ignore[no-untyped-def]  # the base has the types
            raise BadRequest("no")

    log = Refusing(bodies=[b""])
    with FlightDouble(log) as double, client_of(double.address) as client, pytest.raises(BadRequest, match="no"):
        list(client.read(log.log_id, 0, 1, headers=False))


@pytest.mark.parametrize(
    ("name", "values", "text"),
    [
        ("place", [None, bytes(48)], "sent events and blocks in one record batch"),
        ("place", [bytes(3), bytes(48)], r"bridge 127\.0\.0\.1:\d+: a block has no place of 48 bytes"),
        ("count", [7, 7], "the blocks from offset 0 do not follow on each other"),
    ],
)
def test_blocks_that_break_the_contract_are_refused(name: str, values: list[object], text: str) -> None:
    class Broken(MemoryLog):
        def batches(self, ticket):  # type: ignore[no-untyped-def]  # the base has the types
            for batch in super().batches(ticket):
                field = batch.schema.field(name)
                yield batch.set_column(batch.schema.names.index(name), field, pa.array(values, field.type))

    log = Broken()
    log.add_block(b"a\n")
    log.add_block(b"b\n")
    with FlightDouble(log) as double, client_of(double.address) as client, pytest.raises(BridgeRefused, match=text):
        list(client.read(log.log_id, 0, 2, headers=False))


def test_a_block_that_begins_before_the_range_or_ends_behind_it_is_refused() -> None:
    class Whole(MemoryLog):
        def batches(self, ticket):  # type: ignore[no-untyped-def]  # the base has the types
            yield from super().batches(replace(ticket, start=0, end=3))

    log = Whole()
    log.add_block(b"a\nb\nc\n")
    with FlightDouble(log) as double, client_of(double.address) as client:
        for start, end in ((1, 3), (0, 2)):
            with pytest.raises(BridgeRefused, match=rf"sent offsets 0\.\.2 in 3 events, asked for {start}\.\.{end}"):
                list(client.read(log.log_id, start, end, headers=False))
