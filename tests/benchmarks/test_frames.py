"""The load of the benchmarks is what a receiver would get from Flume."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avro_bridge.ingest.calls import batches_of
from avro_bridge.log.blocks import HEADROOM
from avro_bridge.wire.limits import WireLimits
from avro_bridge.wire.server import ServerConnection
from benchmarks.frames import BLOCK_BYTES, log_lines, read_frames, write_block_frames, write_frames
from tests.support.wire_client import ClientConnection

if TYPE_CHECKING:
    from pathlib import Path


def test_a_made_up_line_has_no_line_end_as_an_event_has_none() -> None:
    lines = list(log_lines(None, 50))
    assert len(lines) == 50
    assert [line for line in lines if b"\n" in line or not line.endswith(b'"')] == []


def test_a_corpus_is_repeated_up_to_the_number(tmp_path: Path) -> None:
    corpus = tmp_path / "access.log"
    corpus.write_bytes(b"one\ntwo\nthree\n")
    assert list(log_lines(corpus, 5)) == [b"one", b"two", b"three", b"one", b"two"]


def test_frames_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    corpus = tmp_path / "access.log"
    corpus.write_bytes(b"one\ntwo\nthree\n")
    write_frames(tmp_path / "frames", corpus, 5, 2)
    frames = [bytes(frame) for frame in read_frames(tmp_path / "frames")]
    assert [frame.count(b"web-01") for frame in frames] == [2, 2, 1]
    assert b"three" in frames[1]


def test_blocks_have_all_lines_of_the_log_in_order(tmp_path: Path) -> None:
    lines = list(log_lines(None, 9000))
    write_block_frames(tmp_path / "frames", None, 9000, bytes(32))
    found, position = [], 0
    server = ServerConnection(WireLimits(), HEADROOM)
    server.receive(ClientConnection(WireLimits()).append_batch([({}, b"handshake")]))
    for frame in read_frames(tmp_path / "frames"):
        ((call,), _replies) = server.receive(frame)
        (batch,) = batches_of(call, 1, 1)
        assert batch.place is not None
        assert batch.place.place.position == position
        position += batch.place.place.length
        found += bytes(batch.buffer[-batch.place.place.length :]).splitlines()
    assert found == lines
    assert position > BLOCK_BYTES
