"""Mutated conversations: whatever comes, only documented errors come out, and memory stays bounded."""

from __future__ import annotations

import os
import random
import struct
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from avro_bridge.errors import ProtocolError
from avro_bridge.wire.avro_primitives import encode_long
from avro_bridge.wire.events import gather_headers, header_values, index_events
from avro_bridge.wire.frames import encode_frame
from avro_bridge.wire.handshake import KnownProtocols
from avro_bridge.wire.limits import WireLimits
from avro_bridge.wire.server import ServerConnection
from tests.support import avro_events
from tests.support.conversations import recorded
from tests.support.wire_client import ClientConnection, encode_event

if TYPE_CHECKING:
    from collections.abc import Callable

LIMITS = WireLimits(max_frame_bytes=64 * 1024, max_buffers=100, max_events=1000)
HEADROOM = 48
EXTREMES = [0, 1, 2, 3, 0x7F, 0x80, 0xFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x10000, 65536 - 4]


def seeds() -> list[bytes]:
    """Valid streams of every shape a client may send."""
    streams = [b"".join(conversation.from_client) for name, conversation in recorded().items() if name != "deflate"]
    client = ClientConnection(LIMITS)
    events = [({"timestamp": "1", "ключ": "значение", "": "empty"}, b"x" * size) for size in (0, 1, 63, 64, 9000)]
    streams.append(client.append_batch(events) + client.ping() + client.append({}, b""))
    item = encode_event({"k": "v"}, b"body")
    blocks = encode_long(-2) + encode_long(2 * len(item)) + 2 * item + encode_long(1) + item + b"\x00"
    call = b"\x00\x16appendBatch"
    streams.append(ClientConnection(LIMITS).ping() + encode_frame(4, call + blocks))
    message = call + avro_events.write(events)
    streams.append(
        ClientConnection(LIMITS).ping()
        + encode_frame(3, *(message[each : each + 100] for each in range(0, len(message), 100)))
    )
    return streams


def flip(data: bytearray, at: int, chance: random.Random) -> None:
    data[at] ^= 1 << chance.randrange(8)


def replace(data: bytearray, at: int, chance: random.Random) -> None:
    data[at] = chance.choice([0, 1, 2, 0x7F, 0x80, 0xFF, chance.randrange(256)])


def replace_number(data: bytearray, at: int, chance: random.Random) -> None:
    data[at : at + 4] = struct.pack(">I", chance.choice(EXTREMES))


def insert(data: bytearray, at: int, chance: random.Random) -> None:
    data[at:at] = chance.randbytes(chance.randint(1, 9))


def remove(data: bytearray, at: int, chance: random.Random) -> None:
    del data[at : at + chance.randint(1, 9)]


def repeat(data: bytearray, at: int, chance: random.Random) -> None:
    data[at:at] = data[at : at + chance.randint(1, 60)]


def cut_off(data: bytearray, at: int, _: random.Random) -> None:
    del data[at:]


MUTATIONS: list[Callable[[bytearray, int, random.Random], None]] = [
    *(flip, flip, replace, replace, replace_number, insert, remove, repeat, cut_off),
]


def attack(stream: bytes, chance: random.Random, known: KnownProtocols) -> str:
    """Send a stream in two pieces; the case of the error, or an empty text."""
    server = ServerConnection(LIMITS, HEADROOM, known)
    middle = chance.randint(0, len(stream))
    try:
        for piece in (stream[:middle], stream[middle:]):
            calls, replies = server.receive(piece)
            assert len(replies) <= 200 * len(stream) + 2000
            for call in calls:
                assert call.start >= HEADROOM
                assert len(call.buffer) <= HEADROOM + LIMITS.max_frame_bytes + 1
                with memoryview(call.buffer)[call.start :] as payload:
                    index = index_events(payload, call.event_count)
                    gather_headers(payload, index, 0, call.event_count)
                    header_values(payload, index, b"k")
                assert server.reply_ok(call)
    except ProtocolError as error:
        return error.case
    return ""


def run(rounds: int, seed: int) -> set[str]:
    chance = random.Random(seed)  # noqa: S311 - mutations, not secrets
    known = KnownProtocols(LIMITS)
    streams = seeds()
    cases = set()
    for _ in range(rounds):
        data = bytearray(chance.choice(streams))
        for _ in range(chance.choice([1, 1, 1, 2, 4])):
            if data:
                chance.choice(MUTATIONS)(data, chance.randrange(len(data)), chance)
        cases.add(attack(bytes(data), chance, known))
    assert len(known) <= LIMITS.max_remembered_protocols
    return cases


def test_the_seeds_themselves_are_accepted() -> None:
    chance = random.Random(0)  # noqa: S311 - as above
    assert {attack(stream, chance, KnownProtocols(LIMITS)) for stream in seeds()[2:]} == {""}


def test_thousands_of_mutations_raise_nothing_else_in_bounded_memory() -> None:
    run(100, seed=1)
    # Without the compiler, where only coverage is wanted, each round takes fifty times as long.
    rounds = 200 if os.environ.get("NUMBA_DISABLE_JIT") == "1" else 1500
    tracemalloc.start()
    try:
        cases = run(rounds, seed=2)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert cases == {"", "frame", "handshake", "call", "events"}
    assert peak < 20 * LIMITS.max_frame_bytes


@pytest.mark.slow
def test_a_hundred_thousand_mutations_raise_nothing_else() -> None:
    assert run(100_000, seed=3) == {"", "frame", "handshake", "call", "events"}
