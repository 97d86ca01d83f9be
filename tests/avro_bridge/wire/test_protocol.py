"""Flume's protocol and which other ones are good enough."""

from __future__ import annotations

import json
from typing import Any

import avro.protocol
import pytest

from avro_bridge.errors import HandshakeError
from avro_bridge.wire import protocol
from tests.support.conversations import recorded

JSON = dict[str, Any]


def changed(**changes: object) -> str:
    return json.dumps(json.loads(protocol.FLUME_TEXT) | changes)


def with_event_fields(*fields: JSON) -> str:
    types = json.loads(protocol.FLUME_TEXT)["types"]
    types[1]["fields"] = list(fields)
    return changed(types=types)


def with_message(name: str, **changes: object) -> str:
    messages = json.loads(protocol.FLUME_TEXT)["messages"]
    messages[name] |= changes
    return changed(messages=messages)


HEADERS = {"name": "headers", "type": {"type": "map", "values": "string"}}
BODY = {"name": "body", "type": "bytes"}
JAVA_STRING = {"type": "string", "avro.java.string": "String"}


def test_the_texts_have_the_lengths_and_hashes_of_real_clients() -> None:
    assert (len(protocol.FLUME_TEXT), protocol.FLUME_HASH.hex()) == (1334, "86aadae2c45474c0fe93ffd0f2350a65")
    assert (len(protocol.NEWER_FLUME_TEXT), protocol.NEWER_FLUME_HASH.hex()) == (
        1289,
        "8076c53714e01f6e2c1deb9544e7b1fe",
    )


def test_the_text_is_the_one_that_a_real_client_sent() -> None:
    with_text = recorded()["none"].from_client[1]
    assert protocol.FLUME_TEXT.encode() in with_text
    assert protocol.FLUME_HASH in with_text


def messages_only(*names: str) -> str:
    messages = json.loads(protocol.FLUME_TEXT)["messages"]
    return changed(messages={name: messages[name] for name in names})


@pytest.mark.parametrize(
    "text",
    [
        protocol.FLUME_TEXT,
        protocol.NEWER_FLUME_TEXT,
        str(avro.protocol.parse(protocol.FLUME_TEXT)),
        changed(doc="another", namespace="some.where.else", protocol="Mine"),
        messages_only("append"),
        messages_only("appendBatch"),
        with_event_fields(HEADERS | {"type": {"type": "map", "values": JAVA_STRING}}, BODY),
    ],
)
def test_protocols_with_the_same_bytes_are_good(text: str) -> None:
    protocol.check_client_protocol(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "cannot be parsed: ProtocolParseException"),
        ("[]", "cannot be parsed"),
        ("{}", "cannot be parsed"),
        ("1", "cannot be parsed"),
        ("[" * 100_000, "cannot be parsed"),
        (changed(types=[{"type": "record"}]), "cannot be parsed"),
        (changed(types=5), "cannot be parsed"),
        (changed(messages={"append": 3}), "cannot be parsed"),
        (changed(messages={}), "neither append nor appendBatch"),
        (with_message("append", request=[]), "append of the client's protocol takes 0 parameters"),
        (with_message("appendBatch", request=[{"name": "events", "type": "AvroFlumeEvent"}]), "takes no events"),
        (with_message("append", request=[{"name": "event", "type": "bytes"}]), "takes no events"),
        (with_message("append", response="null"), "does not answer with a status"),
        (with_event_fields(BODY, HEADERS), "takes no events"),
        (with_event_fields(HEADERS), "takes no events"),
        (with_event_fields(HEADERS, BODY, {"name": "id", "type": "long"}), "takes no events"),
        (with_event_fields(HEADERS | {"type": "bytes"}, BODY), "takes no events"),
        (with_event_fields(HEADERS | {"type": {"type": "map", "values": "bytes"}}, BODY), "takes no events"),
        (with_event_fields(HEADERS, BODY | {"type": "long"}), "takes no events"),
    ],
)
def test_other_protocols_are_refused(text: str, reason: str) -> None:
    with pytest.raises(HandshakeError, match=reason):
        protocol.check_client_protocol(text)
