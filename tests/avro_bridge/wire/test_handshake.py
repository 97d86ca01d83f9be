"""The handshake: its bytes against fastavro with the specification's schemas, its rules by their table."""

from __future__ import annotations

import io
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avro_bridge.errors import HandshakeError
from avro_bridge.wire.avro_primitives import PrefixReader
from avro_bridge.wire.handshake import (
    HandshakeRequest,
    HandshakeResponse,
    KnownProtocols,
    Match,
    read_request,
)
from avro_bridge.wire.limits import WireLimits
from avro_bridge.wire.protocol import FLUME_HASH, FLUME_TEXT, NEWER_FLUME_HASH, text_hash
from tests.support.wire_client import read_response

LIMITS = WireLimits(max_remembered_protocols=2)
OTHER_TEXT = FLUME_TEXT.replace("Licensed", "Licenced")
OTHER_HASH = text_hash(OTHER_TEXT)

MD5 = {"type": "fixed", "name": "MD5", "size": 16}
METADATA = ["null", {"type": "map", "values": "bytes"}]
REQUEST = fastavro.parse_schema(
    {
        "type": "record",
        "name": "HandshakeRequest",
        "fields": [
            {"name": "clientHash", "type": MD5},
            {"name": "clientProtocol", "type": ["null", "string"]},
            {"name": "serverHash", "type": "MD5"},
            {"name": "meta", "type": METADATA},
        ],
    }
)
RESPONSE = fastavro.parse_schema(
    {
        "type": "record",
        "name": "HandshakeResponse",
        "fields": [
            {
                "name": "match",
                "type": {"type": "enum", "name": "HandshakeMatch", "symbols": ["BOTH", "CLIENT", "NONE"]},
            },
            {"name": "serverProtocol", "type": ["null", "string"]},
            {"name": "serverHash", "type": ["null", MD5]},
            {"name": "meta", "type": METADATA},
        ],
    }
)

hashes = st.binary(min_size=16, max_size=16)
texts = st.none() | st.text(st.characters(codec="utf-8"), max_size=50)
metadata = st.none() | st.dictionaries(st.sampled_from(["a", "b"]), st.binary(max_size=5))


def encoded(schema: Any, value: object) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema, value)
    return out.getvalue()


def reader(data: bytes) -> PrefixReader:
    return PrefixReader(data, 0, HandshakeError)


@given(hashes, texts, hashes, metadata)
def test_requests(client_hash: bytes, text: str | None, server_hash: bytes, meta: dict[str, bytes] | None) -> None:
    fields = {"clientHash": client_hash, "clientProtocol": text, "serverHash": server_hash}
    request = HandshakeRequest(client_hash, text, server_hash)
    assert request.encode() == encoded(REQUEST, fields | {"meta": {}})
    data = encoded(REQUEST, fields | {"meta": meta})
    whole = reader(data + b"next")
    assert read_request(whole, LIMITS) == request
    assert whole.position == len(data)
    for end in range(len(data)):
        with pytest.raises(HandshakeError):
            read_request(reader(data[:end]), LIMITS)


@given(st.sampled_from(Match), texts, st.none() | hashes, metadata)
def test_responses(match: Match, text: str | None, server_hash: bytes | None, meta: dict[str, bytes] | None) -> None:
    fields = {"match": match.name, "serverProtocol": text, "serverHash": server_hash}
    response = HandshakeResponse(match, text, server_hash)
    assert response.encode() == encoded(RESPONSE, fields | {"meta": None})
    assert read_response(reader(encoded(RESPONSE, fields | {"meta": meta})), LIMITS) == response


FULL = (FLUME_TEXT, FLUME_HASH)


@pytest.mark.parametrize(
    ("client_hash", "text", "server_hash", "answer"),
    [
        (FLUME_HASH, None, FLUME_HASH, HandshakeResponse(Match.BOTH)),
        (FLUME_HASH, "nonsense that nobody reads", FLUME_HASH, HandshakeResponse(Match.BOTH)),
        (FLUME_HASH, None, bytes(16), HandshakeResponse(Match.CLIENT, *FULL)),
        (NEWER_FLUME_HASH, None, NEWER_FLUME_HASH, HandshakeResponse(Match.CLIENT, *FULL)),
        (NEWER_FLUME_HASH, None, FLUME_HASH, HandshakeResponse(Match.BOTH)),
        (OTHER_HASH, None, OTHER_HASH, HandshakeResponse(Match.NONE, *FULL)),
        (OTHER_HASH, None, FLUME_HASH, HandshakeResponse(Match.NONE, *FULL)),
        (OTHER_HASH, OTHER_TEXT, FLUME_HASH, HandshakeResponse(Match.BOTH)),
        (OTHER_HASH, OTHER_TEXT, OTHER_HASH, HandshakeResponse(Match.CLIENT, *FULL)),
    ],
)
def test_the_rules(client_hash: bytes, text: str | None, server_hash: bytes, answer: HandshakeResponse) -> None:
    assert KnownProtocols(LIMITS).answer(HandshakeRequest(client_hash, text, server_hash)) == answer


def test_a_protocol_that_cannot_be_served_is_an_error_not_another_question() -> None:
    with pytest.raises(HandshakeError):
        KnownProtocols(LIMITS).answer(HandshakeRequest(OTHER_HASH, "{}", FLUME_HASH))


def test_a_usable_protocol_is_remembered() -> None:
    known = KnownProtocols(LIMITS)
    known.answer(HandshakeRequest(OTHER_HASH, OTHER_TEXT, FLUME_HASH))
    assert known.answer(HandshakeRequest(OTHER_HASH, None, FLUME_HASH)).match is Match.BOTH
    assert len(known) == 1


def test_a_hash_that_is_not_the_texts_is_served_once_and_not_remembered() -> None:
    known = KnownProtocols(LIMITS)
    false_hash = bytes(16)
    assert known.answer(HandshakeRequest(false_hash, OTHER_TEXT, FLUME_HASH)).match is Match.BOTH
    assert known.answer(HandshakeRequest(false_hash, None, FLUME_HASH)).match is Match.NONE


def test_the_protocol_unused_for_longest_makes_room() -> None:
    known = KnownProtocols(LIMITS)
    texts = [FLUME_TEXT.replace("Licensed", word) for word in ("one", "two", "three")]

    def match(text: str, *, with_text: bool = False) -> Match:
        return known.answer(HandshakeRequest(text_hash(text), text if with_text else None, FLUME_HASH)).match

    match(texts[0], with_text=True)
    match(texts[1], with_text=True)
    assert match(texts[0]) is Match.BOTH
    match(texts[2], with_text=True)
    assert len(known) == 2
    assert [match(text) for text in texts] == [Match.BOTH, Match.NONE, Match.BOTH]


def test_the_text_of_a_protocol_is_bounded() -> None:
    limits = WireLimits(max_protocol_bytes=100)
    data = HandshakeRequest(OTHER_HASH, "x" * 101, FLUME_HASH).encode()
    with pytest.raises(HandshakeError, match="101 bytes where 0 to 100"):
        read_request(reader(data), limits)
