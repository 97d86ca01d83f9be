"""Blocks from the real agent to the real bridge: each line is stored once, however often its file is read."""

from __future__ import annotations

import os
import shutil
import signal
from typing import TYPE_CHECKING

import pytest

from avro_bridge.contract import Place
from avro_bridge.wire.blocks import file_id_text
from flume.agent.spool_id import file_id, spool_id
from tests.support.agents import drop, java_or_skip, running_agent
from tests.support.bridge_process import RunningBridge, running_bridge
from tests.support.delivery import as_file, numbered, place, wait_stored
from tests.support.flume_collector import running_collector
from tests.support.peers import Peer
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.java

TRACKER_FOLDER = ".flumespool"

BLOCKS = {
    "spool.deserializer": "blocks",
    "spool.block_bytes": 4096,
    "spool.max_line_bytes": 65_536,
    "channel.type": "memory",
    "channel.capacity_blocks": 16,
}
LINES = numbered(0, 5000)
CONTENT = as_file(LINES)


def stored_content(bridge: RunningBridge) -> dict[str, bytes]:
    """Return what is stored of each file, put together by place; a line that is there twice or out of place fails."""
    now = bridge.status()
    rows = bridge.read(now.first_offset, now.next_offset, blocks=True).to_pylist()
    pieces = [(Place.from_bytes(row["place"]), row["body"]) for row in rows if row["place"] is not None]
    found: dict[str, bytes] = {}
    for where, body in sorted(pieces, key=lambda piece: (piece[0].file_id, piece[0].position)):
        name = file_id_text(where.file_id)
        assert where.position == len(found.get(name, b"")), "stored twice, or not in order of places"
        found[name] = found.get(name, b"") + body
    assert sum(row["count"] for row in rows) == now.next_offset
    return found


def offer_again(folder: Path) -> None:
    """Forget what the agent had read: its tracker is gone, and its finished files are files to be read."""
    spool = folder / "spool"
    shutil.rmtree(spool / TRACKER_FOLDER, ignore_errors=True)
    for path in spool.glob("*.COMPLETED"):
        path.rename(path.with_suffix(""))


def wait_duplicates(bridge: RunningBridge, count: int) -> None:
    """Wait until so many lines came again."""
    wait_until(lambda: bridge.status().counters["deduplicated_events"] >= count, 60, f"{count} duplicates")


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[RunningBridge]:
    java_or_skip()
    (tmp_path / "spool").mkdir()
    with running_bridge(tmp_path / "bridge") as running:
        yield running


def test_a_file_that_is_read_again_from_its_beginning_is_stored_once(tmp_path: Path, bridge: RunningBridge) -> None:
    name = file_id(spool_id(tmp_path / "spool"), drop(tmp_path, "access.log", CONTENT))
    with running_agent(tmp_path, [place(bridge.avro_port)], BLOCKS) as agent:
        wait_stored(bridge, 1000)
        os.kill(agent.pid, signal.SIGKILL)
    # Or more: what the killed agent had sent may still arrive.
    stored = bridge.status().next_offset
    offer_again(tmp_path)

    # Blocks of another size end at other lines, so some of them are stored in part.
    with running_agent(tmp_path, [place(bridge.avro_port)], {**BLOCKS, "spool.block_bytes": 3000}):
        wait_stored(bridge, len(LINES))
        wait_duplicates(bridge, stored)

    assert stored_content(bridge) == {name: CONTENT}
    counters = bridge.status().counters
    assert counters["stored_events"] == len(LINES)
    assert counters["deduplicated_events"] >= stored >= 1000
    assert bridge.action("places", {"files": [name]})["files"][name]["stored"] == [[0, len(CONTENT)]]


def test_a_name_that_comes_again_with_other_lines_is_another_file(tmp_path: Path, bridge: RunningBridge) -> None:
    with running_agent(tmp_path, [place(bridge.avro_port)], BLOCKS):
        drop(tmp_path, "access.log", CONTENT)
        wait_stored(bridge, len(LINES))
        wait_until(lambda: list((tmp_path / "spool").glob("*.COMPLETED")), 30, "the source to finish the file")
        next((tmp_path / "spool").glob("*.COMPLETED")).unlink()
        drop(tmp_path, "access.log", CONTENT[::-1] + b"\n")
        wait_stored(bridge, 2 * len(LINES) + 1)
    assert sorted(stored_content(bridge).values()) == sorted([CONTENT, CONTENT[::-1] + b"\n"])


@pytest.mark.slow
def test_blocks_pass_a_stock_agent_that_collects_them_with_events_of_others(
    tmp_path: Path, bridge: RunningBridge
) -> None:
    name = file_id(spool_id(tmp_path / "spool"), drop(tmp_path, "access.log", CONTENT))
    with running_collector(tmp_path / "collector", bridge.avro_port) as port:
        with Peer(port) as peer, running_agent(tmp_path, [place(port)], BLOCKS):
            for number in range(20):
                peer.store([({"id": f"event-{number}"}, b"event %d" % number)])
            wait_stored(bridge, len(LINES) + 20)
        offer_again(tmp_path)
        with running_agent(tmp_path, [place(port)], BLOCKS):
            wait_duplicates(bridge, len(LINES))
    assert stored_content(bridge) == {name: CONTENT}
    rows = bridge.read(0, bridge.status().next_offset, blocks=True).to_pylist()
    assert [row["body"] for row in rows if row["place"] is None] == [b"event %d" % number for number in range(20)]
