"""Avro events written and read by fastavro, the reference for the kernels."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import fastavro
from hypothesis import strategies as st

from avro_bridge.wire.avro_primitives import encode_bytes, encode_long

if TYPE_CHECKING:
    from collections.abc import Sequence

SCHEMA = fastavro.parse_schema(
    {
        "type": "array",
        "items": {
            "type": "record",
            "name": "AvroFlumeEvent",
            "fields": [
                {"name": "headers", "type": {"type": "map", "values": "string"}},
                {"name": "body", "type": "bytes"},
            ],
        },
    }
)

Event = tuple[dict[str, str], bytes]

texts = st.text(st.characters(codec="utf-8"), max_size=20)
events_lists = st.lists(st.tuples(st.dictionaries(texts, texts, max_size=4), st.binary(max_size=200)), max_size=8)


def write(events: Sequence[Event]) -> bytes:
    """Encode with fastavro: one block."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, SCHEMA, [{"headers": headers, "body": body} for headers, body in events])
    return out.getvalue()


def read(payload: bytes) -> list[Event] | None:
    """Decode with fastavro's strict reader; None where it refuses, or leaves bytes behind."""
    source = io.BytesIO(payload)
    try:
        events: Any = fastavro.schemaless_reader(source, SCHEMA, None, handle_unicode_errors="strict")
    except (EOFError, IndexError, UnicodeDecodeError, OverflowError, MemoryError):
        return None
    return [(event["headers"], event["body"]) for event in events] if source.tell() == len(payload) else None


@st.composite
def blocked(draw: st.DrawFn, items: list[bytes]) -> bytes:
    """Encode items as an array's or a map's blocks, cut anywhere, with and without sizes."""
    parts = []
    rest = items
    while rest:
        size = draw(st.integers(1, len(rest)))
        block, rest = b"".join(rest[:size]), rest[size:]
        parts.append(encode_long(-size) + encode_long(len(block)) if draw(st.booleans()) else encode_long(size))
        parts.append(block)
    return b"".join(parts) + encode_long(0)


@st.composite
def blocked_payloads(draw: st.DrawFn) -> bytes:
    """Payloads as no Java client writes them, but as Avro allows: several blocks, sizes, repeated keys."""
    items = []
    for _ in range(draw(st.integers(0, 5))):
        entries = draw(st.lists(st.tuples(st.sampled_from(["", "k", "key", "ü"]), texts), max_size=6))
        encoded = [encode_bytes(key.encode()) + encode_bytes(value.encode()) for key, value in entries]
        items.append(draw(blocked(encoded)) + encode_bytes(draw(st.binary(max_size=70))))
    return draw(blocked(items))
