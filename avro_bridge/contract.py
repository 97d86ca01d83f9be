"""The contract with readers: schema, tickets, actions and limits of the bridge's Arrow Flight endpoint.

A reader imports this module and ``errors``, nothing else of the bridge. Both are light: they import neither LMDB nor
numba.

A read is a Flight ``do_get`` with a :class:`Ticket`. It streams the events ``start <= offset < end`` of one log, in
order. Everything else is a Flight action with a JSON object as its body and one JSON object as its result:

=========  ==============================================  ======================================================
action     body                                            result
=========  ==============================================  ======================================================
status     ``{}``                                          :class:`LogStatus`
start      ``{"consumer", "log_id", "position"}``          ``{"offset": n}``: the consumer's first offset. Stored by
                                                           the first call and returned unchanged by all later ones.
                                                           ``position`` is ``"earliest"``, ``"latest"`` or an offset.
commit     ``{"consumer", "log_id", "offset"}``            ``{"offset": n}``: this consumer needs nothing below ``n``
                                                           any more. Never moves backwards.
forget     ``{"consumer"}``                                ``{}``: the consumer no longer holds data back.
=========  ==============================================  ======================================================

An error carries ``extra_info`` with a JSON object ``{"case", "message", "first", "next", "log_id"}``; ``case`` is the
``case`` of one of the classes in :mod:`avro_bridge.errors`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow as pa

from avro_bridge.errors import BadRequest

CONTRACT_VERSION = 1

MAX_CONSUMER_BYTES = 200
"""Longest name of a consumer, in UTF-8. The log keeps a name for as long as the consumer is known."""

OFFSET = pa.field("offset", pa.int64(), nullable=False)
RECEIVED = pa.field("received", pa.timestamp("us", tz="UTC"), nullable=False)
BODY = pa.field("body", pa.binary(), nullable=False)
HEADERS = pa.field("headers", pa.map_(pa.string(), pa.string()), nullable=False)


def schema(*, headers: bool) -> pa.Schema:
    """Return the schema of a read: offset, received, body and, when asked for, headers."""
    return pa.schema([OFFSET, RECEIVED, BODY, HEADERS] if headers else [OFFSET, RECEIVED, BODY])


@dataclass(frozen=True)
class Ticket:
    """The events ``start <= offset < end`` of the log ``log_id``."""

    log_id: str
    start: int
    end: int
    headers: bool = False

    def to_bytes(self) -> bytes:
        """Return the ticket as Flight carries it."""
        return json.dumps(asdict(self), sort_keys=True).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Ticket:
        """Read a ticket.

        Raises:
            BadRequest: the bytes are no ticket, or ``start`` and ``end`` are not a range.
        """
        fields = read_json_object(data, "ticket")
        try:
            ticket = cls(**fields)
        except TypeError as error:
            raise BadRequest(f"ticket: {error}") from None
        # The exact types: JSON's true would pass as the integer 1.
        if [type(value) for value in (ticket.log_id, ticket.start, ticket.end)] != [str, int, int]:
            raise BadRequest("ticket: log_id is a string, start and end are integers")
        if not 0 <= ticket.start <= ticket.end:
            raise BadRequest(f"ticket: start {ticket.start} and end {ticket.end} are not a range")
        return ticket


@dataclass(frozen=True)
class LogStatus:
    """The status of a bridge's log. Counters start when the log is created, unless their name says otherwise."""

    version: int
    log_id: str
    first_offset: int
    next_offset: int
    used_bytes: int
    max_bytes: int
    dropped_events: int
    consumers: dict[str, dict[str, int]] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Return the status as the action's result carries it."""
        return json.dumps(asdict(self), sort_keys=True).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> LogStatus:
        """Read a status. Keys that only a newer bridge knows are ignored."""
        known = read_json_object(data, "status")
        return cls(**{name: known[name] for name in cls.__dataclass_fields__ if name in known})


def is_consumer_name(text: str) -> bool:
    """Return whether ``text`` can name a consumer: 1 to 200 bytes, all characters printable."""
    return bool(text) and text.isprintable() and len(text.encode()) <= MAX_CONSUMER_BYTES


def read_json_object(data: bytes, what: str) -> dict[str, Any]:
    """Return ``data`` as a JSON object.

    Raises:
        BadRequest: it is none; the text begins with ``what``.
    """
    try:
        value = json.loads(data or b"{}")
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise BadRequest(f"{what}: not a JSON object")
    return value
