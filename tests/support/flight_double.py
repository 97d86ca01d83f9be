"""A bridge's Flight endpoint over lists in memory: the contract word by word, and faults on request.

It is a real Flight server on a real socket; only the durable log is left out. Tests hold it to the same
expectations as the real bridge.
"""

from __future__ import annotations

import json
import threading
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow import flight

from avro_bridge.contract import CONTRACT_VERSION, LogStatus, Place, Ticket, read_json_object, schema
from avro_bridge.errors import BadRequest, BridgeError, LogDamaged, LogIdDiffers, RangeAbove, RangeBelow

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Self

FIRST_RECEIVED_US = 1_700_000_000_000_000
MAX_BATCH_EVENTS = 1000


@dataclass(frozen=True)
class StoredBlock:
    """A block: the offset of its first line, its lines with their line feeds, and its place."""

    first: int
    lines: tuple[bytes, ...]
    place: Place

    @property
    def end(self) -> int:
        """Offset behind its last line."""
        return self.first + len(self.lines)

    def part(self, low: int, high: int) -> tuple[int, int, bytes, bytes]:
        """Return offset, count, place and body of the lines ``low <= offset < high``."""
        start, stop = max(low, self.first) - self.first, min(high, self.end) - self.first
        body = b"".join(self.lines[start:stop])
        whole = self.place.length == sum(map(len, self.lines))
        position = self.place.position + sum(map(len, self.lines[:start]))
        place = Place(self.place.file_id, position, len(body) if whole else self.place.length)
        return self.first + start, stop - start, place.to_bytes(), body


@dataclass
class MemoryLog:
    """What a bridge keeps: events and blocks, and the places of its consumers. It outlives the server that shows it.

    ``bodies`` has an entry for each offset: a line of a block stands there with its line feed.
    """

    log_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    bodies: list[bytes] = field(default_factory=list)
    first_offset: int = 0
    consumers: dict[str, dict[str, int]] = field(default_factory=dict)
    damaged: tuple[int, int] | None = None
    blocks: list[StoredBlock] = field(default_factory=list)

    @property
    def next_offset(self) -> int:
        """Offset of the event to come."""
        return len(self.bodies)

    def extend(self, bodies: Iterable[bytes]) -> None:
        """Store events."""
        self.bodies.extend(bodies)

    def add_block(
        self, body: bytes, *, position: int = 0, length: int | None = None, file_id: bytes = bytes(32)
    ) -> None:
        """Store a block; with a ``length`` that is more than the body has, a cut line."""
        # Not bytes.splitlines: it ends lines at a carriage return too.
        pieces = body.split(b"\n")
        lines = (*(piece + b"\n" for piece in pieces[:-1]), *filter(None, pieces[-1:])) if length is None else (body,)
        place = Place(file_id, position, len(body) if length is None else length)
        self.blocks.append(StoredBlock(self.next_offset, lines, place))
        self.bodies.extend(lines)

    def drop_below(self, offset: int) -> None:
        """Do what retention does: forget the oldest events."""
        self.first_offset = offset

    def refuse_outside(self, offset: int) -> None:
        """Raise unless a reader may stand at ``offset``."""
        if offset < self.first_offset:
            raise RangeBelow(f"offset {offset} is below {self.first_offset}, the first one kept")
        if offset > self.next_offset:
            raise RangeAbove(f"offset {offset} is above {self.next_offset}, the next one to be stored")

    def refuse_blocks(self, ticket: Ticket) -> None:
        """Raise if a reader that does not know blocks asks for some."""
        if not ticket.blocks and any(block.first < ticket.end and ticket.start < block.end for block in self.blocks):
            raise BadRequest(f"{ticket.start}..{ticket.end} has blocks, and the ticket does not ask for them")

    def batches(self, ticket: Ticket) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a ticket; event ``n`` was received ``n`` milliseconds after the first."""
        low = ticket.start
        while low < ticket.end:
            here = next((block for block in self.blocks if block.first <= low < block.end), None)
            behind = min((block.first for block in self.blocks if block.first > low), default=ticket.end)
            high = min(low + MAX_BATCH_EVENTS, ticket.end, ticket.end if here else behind)
            if here:
                high = min(high, self._end_of_blocks(here))
            wanted = high
            if self.damaged and low <= self.damaged[1] and self.damaged[0] < high:
                high = max(low, self.damaged[0])
                if high == low:
                    raise LogDamaged("checksum differs", *self.damaged)
            yield self._rows(ticket, low, high, is_blocks=here is not None)
            if high < wanted and self.damaged:
                raise LogDamaged("checksum differs", *self.damaged)
            low = high

    def _end_of_blocks(self, block: StoredBlock) -> int:
        """Return the offset behind the last of the blocks that follow on each other."""
        firsts = {each.first: each for each in self.blocks}
        while block.end in firsts:
            block = firsts[block.end]
        return block.end

    def _rows(self, ticket: Ticket, low: int, high: int, *, is_blocks: bool) -> pa.RecordBatch:
        """Return the rows of ``low <= offset < high``, which are all events or all blocks."""
        rows: list[tuple[int, int, bytes | None, bytes]]
        rows = [(n, 1, None, self.bodies[n]) for n in range(low, high)]
        if is_blocks:
            rows = [block.part(low, high) for block in self.blocks if block.first < high and low < block.end]
        offsets, counts, places, bodies = zip(*rows, strict=True)
        times = [FIRST_RECEIVED_US + n * 1000 for n in offsets]
        columns: list[pa.Array[Any]] = [pa.array(offsets, pa.int64()), pa.array(times, pa.timestamp("us", tz="UTC"))]
        if ticket.blocks:
            columns[1:1] = [pa.array(counts, pa.int64())]
            columns.append(pa.array(places, pa.binary()))
        columns.append(pa.array(bodies, pa.binary()))
        if ticket.headers:
            columns.append(pa.array([[("n", str(n))] for n in offsets], pa.map_(pa.string(), pa.string())))
        return pa.record_batch(columns, schema=schema(headers=ticket.headers, blocks=ticket.blocks))


class FlightDouble(flight.FlightServerBase):  # type: ignore[misc]  # pyarrow.flight has no types
    """Serves one :class:`MemoryLog`; a context manager that stops the server."""

    def __init__(self, log: MemoryLog, port: int = 0, *, token: str | None = None) -> None:
        self.log = log
        self.break_reads_after: list[int] = []
        """Events after which each of the next reads breaks off as a killed bridge does."""
        self._token = token
        middleware = {"token": _TokenCheck(token)} if token else None
        super().__init__(f"grpc://127.0.0.1:{port}", middleware=middleware)
        self._thread = threading.Thread(target=self.serve, name="flight-double", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """Where it listens, as option ``bridges`` wants it."""
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop listening; the log stays."""
        self.shutdown()
        self._thread.join()

    def do_get(self, context: flight.ServerCallContext, ticket: flight.Ticket) -> flight.FlightDataStream:
        """Stream a ticket's events."""
        with _AsFlight(self.log):
            wanted = Ticket.from_bytes(ticket.ticket)
            self._check_log_id(wanted.log_id)
            self.log.refuse_outside(wanted.start)
            self.log.refuse_outside(wanted.end)
            self.log.refuse_blocks(wanted)
        return flight.GeneratorStream(schema(headers=wanted.headers, blocks=wanted.blocks), self._events(wanted))

    def _events(self, wanted: Ticket) -> Iterator[pa.RecordBatch]:
        break_after = self.break_reads_after.pop(0) if self.break_reads_after else None
        sent = 0
        with _AsFlight(self.log):
            for batch in self.log.batches(wanted):
                if break_after is not None and sent >= break_after:
                    raise flight.FlightUnavailableError("broken off on purpose")
                yield batch
                sent += sum(batch["count"].to_pylist()) if wanted.blocks else batch.num_rows

    def do_action(self, context: flight.ServerCallContext, action: flight.Action) -> Iterator[flight.Result]:
        """Run an action."""
        with _AsFlight(self.log):
            body = read_json_object(action.body.to_pybytes() if action.body else b"", action.type)
            result = self._act(action.type, body)
        yield flight.Result(result)

    def _act(self, action: str, body: dict[str, Any]) -> bytes:
        log = self.log
        if action == "status":
            return self._status().to_bytes()
        if action == "forget":
            log.consumers.pop(body["consumer"], None)
            return b"{}"
        self._check_log_id(body["log_id"])
        places = log.consumers.get(body["consumer"])
        if action == "start":
            if places is None:
                words = {"earliest": log.first_offset, "latest": log.next_offset}
                position = words.get(body["position"], body["position"])
                log.refuse_outside(position)
                places = log.consumers[body["consumer"]] = {"start": position, "committed": position}
            return json.dumps({"offset": places["start"]}).encode()
        if action == "commit":
            if places is None:
                raise BadRequest(f"consumer {body['consumer']!r} is not known here: start it first")
            log.refuse_outside(max(body["offset"], log.first_offset))
            places["committed"] = max(places["committed"], body["offset"])
            return json.dumps({"offset": places["committed"]}).encode()
        raise BadRequest(f"no action {action!r}")

    def _status(self) -> LogStatus:
        kept = self.log.bodies[self.log.first_offset :]
        return LogStatus(
            version=CONTRACT_VERSION,
            log_id=self.log.log_id,
            first_offset=self.log.first_offset,
            next_offset=self.log.next_offset,
            used_bytes=sum(map(len, kept)),
            max_bytes=1 << 30,
            dropped_events=self.log.first_offset,
            consumers=self.log.consumers,
        )

    def _check_log_id(self, log_id: str) -> None:
        if log_id != self.log.log_id:
            raise LogIdDiffers(f"this bridge serves log {self.log.log_id}; the request is for another log")


class _AsFlight:
    """Gives the bridge's errors the form in which the contract lets them travel."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, BridgeError):
            details = {
                "case": error.case,
                "message": str(error),
                "first": getattr(error, "first", self._log.first_offset),
                "last": getattr(error, "last", None),
                "next": self._log.next_offset,
                "log_id": self._log.log_id,
            }
            raise flight.FlightServerError(str(error), extra_info=json.dumps(details).encode()) from error


class _TokenCheck(flight.ServerMiddlewareFactory):  # type: ignore[misc]  # as above
    def __init__(self, token: str) -> None:
        self._expected = f"Bearer {token}"

    def start_call(self, info: flight.CallInfo, headers: dict[str, list[str]]) -> None:
        """Check one call's token."""
        if headers.get("authorization") != [self._expected]:
            raise flight.FlightUnauthenticatedError("the bearer token is missing or wrong")
