"""The contract with readers: schema, tickets, actions and limits of the bridge's Arrow Flight endpoint.

A reader imports this module and ``errors``, nothing else of the bridge. Both are light: they import neither LMDB nor
numba.

A read is a Flight ``do_get`` with a :class:`Ticket`. It streams what is stored under ``start <= offset < end`` of one
log, in order. With ``blocks`` a row of the stream is one of two things, and those of one record batch are all the same:

=========  ==============  =========  =====================================  ==================================
row        ``place``       ``count``  ``body``                               ``headers``
=========  ==============  =========  =====================================  ==================================
one event  null            1          the event's body                       of the event
a block    :class:`Place`  its lines  bytes of a file from one line's first  of the block; each of its lines has
                                      byte up to another's last              them
=========  ==============  =========  =====================================  ==================================

The lines of a block have the offsets from ``offset`` on. 0x0A ends a line and is part of ``body``; the last line of a
file may lack it. A block whose place is longer than its body is one *cut line*: the body is only its beginning.

Without ``blocks`` the stream has no columns ``count`` and ``place``, and the bridge refuses a range that has blocks: a
reader that does not know them would take a thousand lines for one.

Everything else is a Flight action with a JSON object as its body and one JSON object as its result:

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
places     ``{"files": [id, ...]}``                        ``{"files": {id: {"size": n, "stored": [[start, end],
                                                           ...]}}}``: which bytes of these files are stored, in order.
                                                           A file of which none is stored is left out.
=========  ==============================================  ======================================================

An error carries ``extra_info`` with a JSON object ``{"case", "message", "first", "next", "log_id"}``; ``case`` is the
``case`` of one of the classes in :mod:`avro_bridge.errors`.
"""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from avro_bridge.errors import BadRequest

if TYPE_CHECKING:
    from typing_extensions import Buffer

CONTRACT_VERSION = 2

MAX_CONSUMER_BYTES = 200
"""Longest name of a consumer, in UTF-8. The log keeps a name for as long as the consumer is known."""

MAX_FILE_IDS = 1000
"""Most file ids of one request for places."""

OFFSET = pa.field("offset", pa.int64(), nullable=False)
COUNT = pa.field("count", pa.int64(), nullable=False)
RECEIVED = pa.field("received", pa.timestamp("us", tz="UTC"), nullable=False)
PLACE = pa.field("place", pa.binary(), nullable=True)
BODY = pa.field("body", pa.binary(), nullable=False)
HEADERS = pa.field("headers", pa.map_(pa.string(), pa.string()), nullable=False)


_PLACE = struct.Struct("<32sqq")


def schema(*, headers: bool, blocks: bool = False) -> pa.Schema:
    """Return the schema of a read; the columns of blocks and the headers are there when they are asked for."""
    columns = [OFFSET, COUNT, RECEIVED, PLACE, BODY] if blocks else [OFFSET, RECEIVED, BODY]
    return pa.schema([*columns, HEADERS] if headers else columns)


@dataclass(frozen=True, slots=True)
class Place:
    """Which bytes of which file a block stands for.

    The column ``place`` holds 48 bytes: ``file_id``, then position and length as little-endian i64.
    """

    file_id: bytes
    """32 bytes: the id of the spool folder and the digest of the file, 16 each."""
    position: int
    """Of the block's first byte in the file."""
    length: int
    """Bytes of the file. More than the block's body holds if the block is a cut line."""

    def to_bytes(self) -> bytes:
        """Return the column's value."""
        return _PLACE.pack(self.file_id, self.position, self.length)

    @classmethod
    def from_bytes(cls, data: Buffer) -> Place:
        """Read the column's value."""
        return cls(*_PLACE.unpack(data))


@dataclass(frozen=True)
class Ticket:
    """What is stored under ``start <= offset < end`` of the log ``log_id``."""

    log_id: str
    start: int
    end: int
    headers: bool = False
    blocks: bool = False
    """Whether the reader knows blocks."""

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
