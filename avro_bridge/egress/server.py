"""The Flight server: reads of a range, the log's status, and what readers send back: start, commit and forget.

Every error becomes a Flight error whose ``extra_info`` names its case (``avro_bridge.contract``), so that a reader can
decide by one word instead of a text.
"""

from __future__ import annotations

import hmac
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc
import pyarrow.flight as flight
import structlog

from avro_bridge.contract import (
    CONTRACT_VERSION,
    MAX_CONSUMER_BYTES,
    MAX_FILE_IDS,
    LogStatus,
    Ticket,
    is_consumer_name,
    read_json_object,
    schema,
)
from avro_bridge.egress.batches import record_batches
from avro_bridge.errors import BadRequest, BridgeError, LogIdDiffers
from avro_bridge.wire.blocks import file_id_text, parse_file_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa

    from avro_bridge.config import FlightConfig, TlsConfig
    from avro_bridge.log.log import Log
    from avro_bridge.log.reader import RangeReader
    from avro_bridge.log.writer import GroupCommitWriter
    from avro_bridge.metrics import BridgeMetrics

SHOWN_BYTES = 200
"""How much of an unknown action's name an error text shows."""

logger = structlog.get_logger("bridge.egress")


class FlightServer(flight.FlightServerBase):  # type: ignore[misc]
    """Serves one log.

    Promise: a read returns exactly the events of its range, in order, or an error that names the case; a ``start`` or
    ``commit`` is on disk before it is answered. Trap: a read that fails in the middle has sent its first events
    already. The reader must discard them unless the stream ends without an error.
    """

    def __init__(
        self, config: FlightConfig, log: Log, writer: GroupCommitWriter, metrics: BridgeMetrics, token: str | None
    ) -> None:
        """Bind the address at once; ``serve`` then blocks until ``shutdown``."""
        self._log = log
        self._writer = writer
        self._metrics = metrics
        self._batch_events = config.batch_events
        self._actions: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "start": self._start,
            "commit": self._commit,
            "forget": self._forget,
            "places": self._places,
        }
        scheme = "grpc+tls" if config.tls else "grpc"
        host = f"[{config.host}]" if ":" in config.host else config.host
        middleware = {"token": _TokenFactory(token)} if token is not None else None
        super().__init__(
            f"{scheme}://{host}:{config.port}", tls_certificates=_certificates(config.tls), middleware=middleware
        )

    def do_get(self, _context: flight.ServerCallContext, ticket: flight.Ticket) -> flight.FlightDataStream:
        """Stream the events of a ticket."""
        with _Translated(self._metrics, self._log):
            wanted = Ticket.from_bytes(ticket.ticket)
            # Checked before the stream begins, so that a refusal comes instead of the first event, not after it.
            self._check_log_id(wanted.log_id)
            stored = self._log.read(wanted.start, wanted.end)
        return flight.GeneratorStream(
            schema(headers=wanted.headers, blocks=wanted.blocks), self._events(wanted, stored)
        )

    def _events(self, wanted: Ticket, stored: RangeReader) -> Iterator[pa.RecordBatch]:
        # The reader is closed on every way out, also when the client disconnects.
        with _Translated(self._metrics, self._log), stored:
            for batch in record_batches(
                stored,
                wanted.start,
                wanted.end,
                headers=wanted.headers,
                blocks=wanted.blocks,
                batch_events=self._batch_events,
            ):
                self._metrics.served_events.inc(_events_in(batch))
                # ``batch`` is a copy. A slow client must not keep the read transaction open.
                stored.release()
                yield batch

    def list_actions(self, _context: flight.ServerCallContext) -> list[tuple[str, str]]:
        """Return the actions with a description each."""
        return [
            ("status", "offsets, size, counters and consumers of the log"),
            ("start", "store and return a consumer's first offset"),
            ("commit", "store that a consumer needs nothing below an offset"),
            ("forget", "remove a consumer"),
            ("places", "which bytes of some files are stored"),
        ]

    def do_action(self, _context: flight.ServerCallContext, action: flight.Action) -> Iterator[flight.Result]:
        """Run one action and return its JSON result."""
        with _Translated(self._metrics, self._log):
            body = read_json_object(action.body.to_pybytes() if action.body else b"", action.type)
            if action.type == "status":
                result = self.status().to_bytes()
            elif action.type in self._actions:
                result = json.dumps(self._actions[action.type](body)).encode()
            else:
                raise BadRequest(f"no action {action.type[:SHOWN_BYTES]!r}; known: status, {', '.join(self._actions)}")
        yield flight.Result(result)

    def status(self) -> LogStatus:
        """Return the status of the log."""
        now = self._log.metadata()
        return LogStatus(
            version=CONTRACT_VERSION,
            log_id=now.log_id,
            first_offset=now.first_offset,
            next_offset=now.next_offset,
            used_bytes=now.used_bytes,
            max_bytes=self._log.max_bytes,
            dropped_events=now.counters["dropped_events"],
            consumers={name: asdict(consumer) for name, consumer in now.consumers.items()},
            counters=dict(now.counters),
        )

    def _start(self, body: dict[str, Any]) -> dict[str, Any]:
        self._check_log_id(_text(body, "log_id"))
        position = body.get("position")
        if position not in ("earliest", "latest") and type(position) is not int:
            raise BadRequest("start: position must be 'earliest', 'latest' or an offset")
        return {"offset": self._writer.start_consumer(_name(body), position).result()}

    def _commit(self, body: dict[str, Any]) -> dict[str, Any]:
        self._check_log_id(_text(body, "log_id"))
        offset = body.get("offset")
        if type(offset) is not int:
            raise BadRequest("commit: offset must be an integer")
        return {"offset": self._writer.commit(_name(body), offset).result()}

    def _forget(self, body: dict[str, Any]) -> dict[str, Any]:
        self._writer.forget(_name(body)).result()
        return {}

    def _places(self, body: dict[str, Any]) -> dict[str, Any]:
        texts = body.get("files")
        if not isinstance(texts, list) or len(texts) > MAX_FILE_IDS:
            raise BadRequest(f"places: files must be a list of at most {MAX_FILE_IDS} file ids")
        file_ids = [parse_file_id(each.encode()) if isinstance(each, str) else None for each in texts]
        for text, file_id in zip(texts, file_ids, strict=True):
            if file_id is None:
                raise BadRequest(f"places: {str(text)[:SHOWN_BYTES]!r} is no file id")
        found = self._log.places(each for each in file_ids if each is not None)
        return {
            "files": {
                file_id_text(file_id): {"size": stored.size, "stored": stored.intervals}
                for file_id, stored in found.items()
            }
        }

    def _check_log_id(self, log_id: str) -> None:
        if log_id != self._log.log_id:
            raise LogIdDiffers(f"this bridge serves log {self._log.log_id}; the request is for another log")


def _events_in(batch: pa.RecordBatch) -> int:
    """Return how many events, or lines of blocks, a record batch has."""
    counts = batch.schema.get_field_index("count")
    return batch.num_rows if counts < 0 else int(pc.sum(batch.column(counts)).as_py())


class _Translated:
    """Turns the bridge's errors into Flight errors that carry their case."""

    def __init__(self, metrics: BridgeMetrics, log: Log) -> None:
        self._metrics = metrics
        self._log = log

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, BridgeError):
            return
        self._metrics.refused_reads.labels(case=error.case).inc()
        details: dict[str, Any] = {
            "case": error.case,
            "message": str(error),
            "first": getattr(error, "first", self._log.first_offset),
            "last": getattr(error, "last", None),
            "next": self._log.next_offset,
            "log_id": self._log.log_id,
        }
        raise flight.FlightServerError(str(error), extra_info=json.dumps(details).encode()) from error


class _TokenFactory(flight.ServerMiddlewareFactory):  # type: ignore[misc]
    """Refuses every call without the bearer token; compares in constant time."""

    def __init__(self, token: str) -> None:
        self._expected = f"Bearer {token}".encode()

    def start_call(self, _info: flight.CallInfo, headers: dict[str, list[str]]) -> None:
        """Check one call's ``authorization`` header."""
        given = next(iter(headers.get("authorization", [])), "")
        if not hmac.compare_digest(given.encode(), self._expected):
            raise flight.FlightUnauthenticatedError("the bearer token is missing or wrong")


def _certificates(tls: TlsConfig | None) -> list[tuple[bytes, bytes]] | None:
    return [(tls.certificate.read_bytes(), tls.key.read_bytes())] if tls else None


def _text(body: dict[str, Any], key: str) -> str:
    value = body.get(key)
    if not isinstance(value, str) or not value:
        raise BadRequest(f"{key} must be a text that is not empty")
    return value


def _name(body: dict[str, Any]) -> str:
    name = _text(body, "consumer")
    if not is_consumer_name(name):
        raise BadRequest(f"consumer must be a printable text of at most {MAX_CONSUMER_BYTES} bytes")
    return name
