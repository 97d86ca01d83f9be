"""A bridge that is killed again and again while blocks arrive: each line is stored once, whoever sends it how often."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING

import pytest

from avro_bridge.contract import Place
from tests.support.blocks import FILE_ID, OTHER_FILE_ID, block_event, line_starts
from tests.support.bridge_process import start_bridge
from tests.support.peers import Peer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.avro_events import Event

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

KILLS = 5
LINES = 3000
CUTS = (7, 50)
"""Lines of a block. Every file is sent in both cuts, so blocks overlap and all lines come twice."""


def contents(dice: random.Random) -> dict[bytes, bytes]:
    return {
        file_id: b"".join(b"%d %s\n" % (number, b"x" * dice.randrange(200)) for number in range(LINES))
        for file_id in (FILE_ID, OTHER_FILE_ID)
    }


def shuffled_blocks(files: dict[bytes, bytes], dice: random.Random) -> list[Event]:
    blocks = []
    for file_id, content in files.items():
        starts = line_starts(content)
        for cut in CUTS:
            ends = [*starts[cut::cut], len(content)]
            pairs = zip(starts[::cut], ends, strict=False)
            blocks += [block_event(content, start, end, file_id=file_id) for start, end in pairs if start < end]
    dice.shuffle(blocks)
    return blocks


def send(port: int, blocks: list[Event]) -> None:
    """Send from the end of the list, and take off what was acknowledged; return early when the bridge is gone."""
    try:
        with Peer(port) as peer:
            while blocks:
                peer.store([blocks[-1]])
                blocks.pop()
    except OSError:
        # What was sent last and has no answer is sent again.
        return


def test_each_line_is_stored_once_whatever_is_killed_and_sent_again(tmp_path: Path) -> None:
    dice = random.Random(5)  # noqa: S311 - repeatable
    files = contents(dice)
    blocks = shuffled_blocks(files, dice)
    for left in range(KILLS, 0, -1):
        bridge = start_bridge(tmp_path)
        killer = threading.Timer(dice.uniform(0.02, 0.2), bridge.kill)
        killer.start()
        # Some blocks are kept for each life.
        kept = len(blocks) * (left - 1) // left
        now = blocks[kept:]
        send(bridge.avro_port, now)
        killer.join()
        blocks = blocks[:kept] + now
    bridge = start_bridge(tmp_path)
    send(bridge.avro_port, blocks)
    assert blocks == []

    status = bridge.status()
    rows = bridge.read(0, status.next_offset, blocks=True).to_pylist()
    assert bridge.stop() == 0
    assert status.next_offset == LINES * len(files)
    assert status.counters["deduplicated_events"] >= LINES * len(files)
    stored: dict[bytes, list[tuple[int, bytes]]] = {}
    for row in rows:
        place = Place.from_bytes(row["place"])
        stored.setdefault(place.file_id, []).append((place.position, row["body"]))
    assert {file_id: b"".join(body for _, body in sorted(pieces)) for file_id, pieces in stored.items()} == files
