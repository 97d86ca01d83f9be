"""The load: real log lines in the frames that Flume's sink would send, built once and kept in a file.

Every receiver of one run gets the very same bytes, as events of one line each or as blocks of lines. The headers are
those of Headrace's agent: of an event id, timestamp and host, of a block its place, timestamp and host.
"""

from __future__ import annotations

import itertools
import random
import struct
import uuid
from typing import TYPE_CHECKING

from avro_bridge.wire.avro_primitives import encode_long, encode_string
from avro_bridge.wire.blocks import FILE, POSITION, SIZE, file_id_text
from avro_bridge.wire.frames import FLUME_BUFFER_SIZE, encode_frame
from avro_bridge.wire.protocol import APPEND_BATCH
from headrace.sample import SampleSettings, sample_lines
from tests.support.wire_client import encode_events

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

BLOCK_BYTES = 1024 * 1024
LENGTH = struct.Struct(">I")
SEED = 20150517


def log_lines(corpus: Path | None, count: int) -> Iterator[bytes]:
    """Yield ``count`` access-log lines without their ends: a file's over and over, or a made-up log's."""
    if corpus is None:
        # An event has no line end: Flume takes it off, and a body with one is malformed.
        yield from (line.rstrip(b"\n") for line in sample_lines(SampleSettings(lines=count, seed=SEED)))
        return
    lines = corpus.read_bytes().splitlines()
    yield from itertools.islice(itertools.cycle(lines), count)


def write_frames(path: Path, corpus: Path | None, events: int, batch: int) -> None:
    """Write ``events`` events in frames of ``batch``, each frame with its length in front.

    The frames carry no handshake: the sender makes a first call for that. All have the same serial, which is
    sound as long as one call at a time is outstanding.
    """
    source = log_lines(corpus, events)
    chance = random.Random(SEED)  # noqa: S311 - the same load each time
    with path.open("wb") as file:
        while lines := list(itertools.islice(source, batch)):
            _write_frame(file, encode_events([(_headers(chance), line) for line in lines]))


def write_block_frames(path: Path, corpus: Path | None, events: int, file_id: bytes) -> None:
    """Write the same lines as one file of blocks, a frame for each block, as :func:`write_frames` does."""
    content = b"".join(line + b"\n" for line in log_lines(corpus, events))
    with path.open("wb") as file:
        start = 0
        while start < len(content):
            end = content.rfind(b"\n", start, start + BLOCK_BYTES) + 1
            place = {FILE: file_id_text(file_id), POSITION: str(start), SIZE: str(len(content))}
            headers = {name.decode(): value for name, value in place.items()}
            headers |= {"timestamp": "1431857103000", "host": "web-01"}
            _write_frame(file, encode_events([(headers, content[start:end])]))
            start = end


def _write_frame(file: BinaryIO, payload: bytes) -> None:
    cuts = range(0, len(payload), FLUME_BUFFER_SIZE)
    pieces = [payload[cut : cut + FLUME_BUFFER_SIZE] for cut in cuts]
    frame = encode_frame(2, encode_long(0) + encode_string(APPEND_BATCH), *pieces)
    file.write(LENGTH.pack(len(frame)) + frame)


def read_frames(path: Path) -> list[memoryview]:
    """Read the frames back, without copying them apart."""
    data = memoryview(path.read_bytes())
    frames, position = [], 0
    while position < len(data):
        (length,) = LENGTH.unpack_from(data, position)
        position += LENGTH.size
        frames.append(data[position : position + length])
        position += length
    return frames


def _headers(chance: random.Random) -> dict[str, str]:
    return {"id": str(uuid.UUID(int=chance.getrandbits(128))), "timestamp": "1431857103000", "host": "web-01"}
