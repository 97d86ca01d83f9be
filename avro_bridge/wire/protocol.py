"""Flume's Avro protocol: its text, the two hashes that Flume's clients send, and a check for other clients' protocols.

The protocol has not changed since 2012. What differs is its ``doc``: the licence comment of Flume's IDL file ends up
in the protocol and so in its hash, with the comment's stars in what Avro up to 1.11.0 generates and without them since
1.11.1. Lengths and hashes were captured from Flume 1.9.0 and 1.11.0 and from the compilers named:

=========================================  =======  ================================
client built with                          bytes    MD5 of the text
=========================================  =======  ================================
Avro 1.7.4 to 1.11.0 (Flume 1.9 to 1.11)   1334     86aadae2c45474c0fe93ffd0f2350a65
Avro 1.11.1 and newer (Flume's trunk)      1289     8076c53714e01f6e2c1deb9544e7b1fe
=========================================  =======  ================================

This server's own protocol is the first one.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from enum import IntEnum

import avro.errors
import avro.protocol
import avro.schema

from avro_bridge.errors import HandshakeError


class Status(IntEnum):
    """The answer to a call; the number is the position in Flume's enum."""

    OK = 0
    FAILED = 1
    UNKNOWN = 2


APPEND = "append"
APPEND_BATCH = "appendBatch"

_LICENCE_COMMENT = """\
* Licensed to the Apache Software Foundation (ASF) under one
 * or more contributor license agreements.  See the NOTICE file
 * distributed with this work for additional information
 * regarding copyright ownership.  The ASF licenses this file
 * to you under the Apache License, Version 2.0 (the
 * "License"); you may not use this file except in compliance
 * with the License.  You may obtain a copy of the License at
 *
 * http://www.apache.org/licenses/LICENSE-2.0
 *
 * Unless required by applicable law or agreed to in writing,
 * software distributed under the License is distributed on an
 * "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY
 * KIND, either express or implied.  See the License for the
 * specific language governing permissions and limitations
 * under the License."""


def _protocol_text(doc: str) -> str:
    """Return the protocol as Avro's Java library writes it: keys in this order, no spaces."""
    event = "AvroFlumeEvent"
    protocol = {
        "protocol": "AvroSourceProtocol",
        "namespace": "org.apache.flume.source.avro",
        "doc": doc,
        "types": [
            {"type": "enum", "name": "Status", "symbols": [status.name for status in Status]},
            {
                "type": "record",
                "name": event,
                "fields": [
                    {"name": "headers", "type": {"type": "map", "values": "string"}},
                    {"name": "body", "type": "bytes"},
                ],
            },
        ],
        "messages": {
            APPEND: {"request": [{"name": "event", "type": event}], "response": "Status"},
            APPEND_BATCH: {
                "request": [{"name": "events", "type": {"type": "array", "items": event}}],
                "response": "Status",
            },
        },
    }
    return json.dumps(protocol, separators=(",", ":"))


def _without_stars(doc: str) -> str:
    return "\n".join(line.strip().removeprefix("*").strip() for line in doc.splitlines())


def text_hash(text: str) -> bytes:
    """Return the 16-byte hash that identifies a protocol in a handshake."""
    return hashlib.md5(text.encode(), usedforsecurity=False).digest()


FLUME_TEXT = _protocol_text(_LICENCE_COMMENT)
"""Flume's protocol as its clients up to 1.11 carry it, and as this server sends it."""
FLUME_HASH = text_hash(FLUME_TEXT)
NEWER_FLUME_TEXT = _protocol_text(_without_stars(_LICENCE_COMMENT))
"""The same protocol from newer Avro compilers."""
NEWER_FLUME_HASH = text_hash(NEWER_FLUME_TEXT)
FLUME_HASHES = frozenset({FLUME_HASH, NEWER_FLUME_HASH})


def check_client_protocol(text: str) -> None:
    """Check that another client's calls are encoded like Flume's.

    The protocol needs ``append`` or ``appendBatch``, with the parameter and the response of Flume's. Names of types and
    parameters, docs and further messages do not matter. The order and the types of an event's fields do, because events
    are decoded by position.

    Raises:
        HandshakeError: the protocol cannot be parsed, or one of the calls is encoded differently.
    """
    protocol = _parse(text)
    messages = {name: message for name, message in (protocol.messages or {}).items() if name in (APPEND, APPEND_BATCH)}
    if not messages:
        raise HandshakeError(f"the client's protocol has neither {APPEND} nor {APPEND_BATCH}")
    for name, message in messages.items():
        parameters = message.request.fields
        if len(parameters) != 1:
            raise HandshakeError(f"{name} of the client's protocol takes {len(parameters)} parameters, not one")
        event = parameters[0].type
        if name == APPEND_BATCH:
            event = event.items if isinstance(event, avro.schema.ArraySchema) else None
        if not _is_event(event):
            raise HandshakeError(f"{name} of the client's protocol takes no events of headers and body")
        if not _is_status(message.response):
            raise HandshakeError(f"{name} of the client's protocol does not answer with a status")


def _parse(text: str) -> avro.protocol.Protocol:
    try:
        with warnings.catch_warnings():
            # The library warns about unknown annotations, which do not matter here.
            warnings.simplefilter("ignore")
            return avro.protocol.parse(text)
    except (avro.errors.AvroException, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise HandshakeError(f"the client's protocol cannot be parsed: {type(error).__name__}") from error


def _is_event(schema: object) -> bool:
    if not isinstance(schema, avro.schema.RecordSchema):
        return False
    types = [field.type for field in schema.fields]
    return (
        [field.name for field in schema.fields] == ["headers", "body"]
        and isinstance(types[0], avro.schema.MapSchema)
        and types[0].values.type == "string"
        and types[1].type == "bytes"
    )


def _is_status(schema: object) -> bool:
    return isinstance(schema, avro.schema.EnumSchema) and list(schema.symbols) == [status.name for status in Status]
