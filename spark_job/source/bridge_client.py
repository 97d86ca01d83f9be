"""A client of one bridge's Flight endpoint (:mod:`avro_bridge.contract`).

Every call has a time limit. Errors of gRPC and Arrow do not leave this module: callers get a class of
:mod:`avro_bridge.errors` if the bridge reports on its log, and one of :mod:`spark_job.errors` if the call failed.

===============================================  ===========================================================
Flight reports                                   the client raises
===============================================  ===========================================================
an error with ``extra_info`` and a known case    the class of :mod:`avro_bridge.errors` with that case
unavailable, timed out, stream broken off        BridgeUnavailable, after retries for ``RetryPolicy.patience_s``
unauthenticated, unauthorized, anything else     BridgeRefused, at once
===============================================  ===========================================================

A bridge of a version before blocks refuses a ticket that asks for them. The client then asks without, until the bridge
is upgraded and refuses that: an old bridge has no blocks, so jobs and bridges can be upgraded in any order.
"""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
from pyarrow import flight

from avro_bridge.contract import LogStatus, Ticket, read_json_object
from avro_bridge.errors import (
    BadRequest,
    BridgeError,
    LogClosed,
    LogDamaged,
    LogFull,
    LogIdDiffers,
    LogWriteFailed,
    RangeAbove,
    RangeBelow,
)
from headrace.common.retry import Backoff
from headrace.common.text import printable
from spark_job.blocks import Blocks, is_blocks, lines_in
from spark_job.errors import BridgeRefused, BridgeUnavailable, OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from spark_job.source.options import Address, Security

TRANSIENT: Final = (flight.FlightUnavailableError, flight.FlightTimedOutError, flight.FlightCancelledError)
MAX_TEXT: Final = 500
FIRST_VERSION_WITH_BLOCKS: Final = 2
ERRORS_BY_CASE: Final[dict[str, type[BridgeError]]] = {
    kind.case: kind
    for kind in (LogIdDiffers, RangeBelow, RangeAbove, BadRequest, LogDamaged, LogFull, LogWriteFailed, LogClosed)
}


@dataclass(frozen=True)
class RetryPolicy:
    """How long the client retries while a bridge is unavailable, and the time limits of its calls.

    Attributes:
        patience_s: how long to retry, counted from the first failure since the last progress.
        first_delay_s: the first pause between two tries; each pause is twice as long as the one before.
        max_delay_s: the longest pause.
        call_timeout_s: time limit of an action.
        read_timeout_s: time limit of one stream of a read.
        clock: seconds on a monotonic clock; another one in tests.
        sleep: waits for so many seconds; another one in tests.
    """

    patience_s: float
    first_delay_s: float = 0.05
    max_delay_s: float = 2.0
    call_timeout_s: float = 10.0
    read_timeout_s: float = 120.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class BridgeClient:
    """A client of one bridge; it connects when first used. Close it, or use it as a context manager."""

    def __init__(self, address: Address, security: Security, retry: RetryPolicy) -> None:
        self.address = address
        self._security = security
        self._retry = retry
        self._connection: flight.FlightClient | None = None
        self._knows_blocks = True

    def status(self, *, patient: bool = True) -> LogStatus:
        """Return the status of the bridge's log; without ``patient``, try only once."""
        return LogStatus.from_bytes(self._action("status", {}, patient=patient))

    def start(self, consumer: str, log_id: str, position: str | int) -> int:
        """Return the consumer's first offset; the bridge stores it, so later calls return the same."""
        return self._offset("start", {"consumer": consumer, "log_id": log_id, "position": position})

    def commit(self, consumer: str, log_id: str, offset: int) -> int:
        """Let the bridge delete the events below ``offset``, as far as this consumer is concerned. Never retried.

        Returns:
            The consumer's committed offset, which never moves backwards.
        """
        # No retry: the next commit includes this one.
        return self._offset("commit", {"consumer": consumer, "log_id": log_id, "offset": offset}, patient=False)

    def forget(self, consumer: str) -> None:
        """Let the bridge delete what it keeps for the consumer, its first offset included."""
        self._action("forget", {"consumer": consumer})

    def read(self, log_id: str, start: int, end: int, *, headers: bool) -> Iterator[pa.RecordBatch]:
        """Yield the events and lines ``start <= offset < end`` in order, each exactly once.

        A record batch has lines or blocks, see :mod:`spark_job.blocks`. If a stream breaks off, the client opens
        another one after the last line that it yielded, also in the middle of a block.

        Raises:
            RangeBelow: the range starts below what is kept.
            LogDamaged: a part of the range is damaged; the events before it have been yielded.
            BridgeRefused: what the bridge sends is not as the contract says.
            BridgeUnavailable: the bridge did not answer for ``patience_s``.
        """
        position = start
        patience = _Patience(self._retry)
        while position < end:
            try:
                for batch in self._stream(Ticket(log_id, position, end, headers, self._knows_blocks)):
                    if batch.num_rows == 0:
                        continue
                    rows = _lines_or_blocks(batch, self.address)
                    _check_dense(rows, position, end, self.address)
                    position += lines_in(rows)
                    patience.reset()
                    yield rows
                if position < end:
                    raise BridgeRefused(f"bridge {self.address} ended the read of {start}..{end} early, at {position}")
            except BridgeUnavailable as error:
                self.close()
                patience.wait(error)
            except BadRequest:
                knows_blocks = self.status().version >= FIRST_VERSION_WITH_BLOCKS
                if self._knows_blocks == knows_blocks:
                    raise
                self._knows_blocks = knows_blocks

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _stream(self, ticket: Ticket) -> Iterator[pa.RecordBatch]:
        with _translated(self.address):
            request = flight.Ticket(_ticket_bytes(ticket))
            reader = self._connect().do_get(request, self._call(self._retry.read_timeout_s))
        try:
            while True:
                with _translated(self.address):
                    try:
                        batch = reader.read_chunk().data
                    except StopIteration:
                        return
                if batch is not None:
                    yield batch
        finally:
            # The caller may stop early, and the bridge would go on sending.
            reader.cancel()

    def _offset(self, action: str, body: dict[str, Any], *, patient: bool = True) -> int:
        offset = read_json_object(self._action(action, body, patient=patient), action).get("offset")
        if type(offset) is not int:
            raise BridgeRefused(f"bridge {self.address} answered {action} without an offset")
        return offset

    def _action(self, action: str, body: dict[str, Any], *, patient: bool = True) -> bytes:
        """Run one action, with retries while the bridge does not answer. Repeating an action is always safe."""
        patience = _Patience(self._retry)
        while True:
            try:
                with _translated(self.address):
                    request = flight.Action(action, json.dumps(body).encode())
                    results = list(self._connect().do_action(request, self._call(self._retry.call_timeout_s)))
                return results[0].body.to_pybytes() if results else b"{}"
            except BridgeUnavailable as error:
                self.close()
                if not patient:
                    raise
                patience.wait(error)

    def _connect(self) -> flight.FlightClient:
        if self._connection is None:
            roots = self._security.root_certificates
            self._connection = flight.FlightClient(
                f"grpc+tls://{self.address}" if self._security.tls else f"grpc://{self.address}",
                tls_root_certs=_read_file(roots) if roots else None,
            )
        return self._connection

    def _call(self, timeout_s: float) -> flight.FlightCallOptions:
        headers = []
        if self._security.token_file is not None:
            token = _read_file(self._security.token_file).strip()
            headers.append((b"authorization", f"Bearer {token}".encode()))
        return flight.FlightCallOptions(timeout=timeout_s, headers=headers)


class _Patience:
    """Waits between tries until ``patience_s`` have passed since the first failure without progress."""

    def __init__(self, retry: RetryPolicy) -> None:
        self._retry = retry
        self._backoff = Backoff(retry.first_delay_s, retry.max_delay_s)
        self._deadline: float | None = None

    def reset(self) -> None:
        """Note progress: the next failure is a first one."""
        self._backoff.reset()
        self._deadline = None

    def wait(self, error: BridgeUnavailable) -> None:
        """Sleep before the next try, or raise when the pause would end after the deadline."""
        now = self._retry.clock()
        if self._deadline is None:
            self._deadline = now + self._retry.patience_s
        if now + self._backoff.next_s > self._deadline:
            raise BridgeUnavailable(f"{error}; asked again for {self._retry.patience_s:g} s") from None
        self._retry.sleep(self._backoff.take())


@contextmanager
def _translated(address: Address) -> Iterator[None]:
    """Turn the errors of Flight into the classes of the table at the module's head."""
    try:
        yield
    except TRANSIENT as error:
        raise BridgeUnavailable(f"bridge {address} does not answer: {_first_line(error)}") from None
    except (flight.FlightError, pa.ArrowException, OSError) as error:
        raise _reported_by_bridge(error) or BridgeRefused(f"bridge {address} refuses: {_first_line(error)}") from None


def _reported_by_bridge(error: Exception) -> BridgeError | None:
    """Return the error that the bridge raised; None if something else between here and there raised it."""
    try:
        details = json.loads(getattr(error, "extra_info", b"") or b"{}")
        kind = ERRORS_BY_CASE[details["case"]]
        message = str(details["message"])
        if kind is LogDamaged:
            first, last = int(details["first"]), int(details["last"])
            return LogDamaged(message.removeprefix(f"offsets {first} to {last}: "), first, last)
        return kind(message)
    except (ValueError, KeyError, TypeError):
        return None


def _first_line(error: Exception) -> str:
    return printable(next(iter(str(error).splitlines()), type(error).__name__), MAX_TEXT)


def _ticket_bytes(ticket: Ticket) -> bytes:
    """Return a ticket as its bridge reads it: a bridge that does not know blocks refuses the very word."""
    if ticket.blocks:
        return ticket.to_bytes()
    return json.dumps({name: value for name, value in asdict(ticket).items() if name != "blocks"}).encode()


def _lines_or_blocks(batch: pa.RecordBatch, address: Address) -> pa.RecordBatch:
    """Return rows of lines without the columns that only blocks need, and blocks as they are; copies nothing."""
    if not is_blocks(batch):
        return batch
    nulls = batch.column("place").null_count
    if nulls == batch.num_rows:
        return batch.select([name for name in batch.schema.names if name not in ("count", "place")])
    if nulls:
        raise BridgeRefused(f"bridge {address} sent events and blocks in one record batch")
    try:
        Blocks.of(batch)
    except BridgeRefused as error:
        raise BridgeRefused(f"bridge {address}: {error}") from None
    return batch


def _check_dense(batch: pa.RecordBatch, position: int, end: int, address: Address) -> None:
    """Refuse a record batch that does not continue at ``position``: counting it would lose or double events."""
    offsets, lines = batch.column("offset"), lines_in(batch)
    first, last = offsets[0].as_py(), offsets[batch.num_rows - 1].as_py()
    if is_blocks(batch):
        # The blocks are dense among themselves: that was checked.
        last = first + lines - 1
    if first != position or last != position + lines - 1 or last >= end:
        raise BridgeRefused(
            f"bridge {address} sent offsets {first}..{last} in {lines} events, asked for {position}..{end}"
        )


def _read_file(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError as error:
        raise OptionError(
            f"{path}: {error.strerror}; it must be readable on the driver and on every executor"
        ) from None
