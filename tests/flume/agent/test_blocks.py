"""The real agent with blocks: the file arrives byte for byte, also after a full channel, a kill or a stall."""

from __future__ import annotations

import os
import random
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from flume.agent.process import Agent
from flume.agent.recovery import TRACKER
from flume.agent.spool_id import SPOOL_ID_FILE, file_id, spool_id
from flume.config.checks import check_values
from flume.errors import AgentError, RenderError
from tests.support.agents import agent_values, drop, render_small, running_agent
from tests.support.block_java import Block, expected_blocks, places
from tests.support.receiver import FAILED, OK, Receiver, receiving
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

MIB = 1024 * 1024
BLOCK, MAX_LINE = 1024, 4096
SMALL_BLOCKS: Mapping[str, object] = {
    "spool.deserializer": "blocks",
    "spool.block_bytes": BLOCK,
    "spool.max_line_bytes": MAX_LINE,
    "channel.capacity_blocks": 16,
}
CHANCE = random.Random(20)  # noqa: S311 - repeatable on purpose


def line(length: int) -> bytes:
    """Return a line of that many bytes, its line end included."""
    return b"x" * (length - 1) + b"\n"


TEXT = "".join(f"{number} première ligne\n" for number in range(300))
FILES: Mapping[str, bytes] = {
    "random bytes": CHANCE.randbytes(20_000),
    "crlf.log": b"one\r\ntwo\rthree\r\n\r\n" * 200,
    "nul.log": b"\0\n\0\0" * 900,
    "invalid-utf-8.log": b"good\nb\xff\xfed\xc3\nafter \xed\xa0\x80\n" * 90,
    "latin-1.log": TEXT.encode("latin-1"),
    "utf-16.log": TEXT.encode("utf-16"),
    "no-last-line-end.log": line(500) * 5 + b"the end",
    "one-byte": b"x",
    "only-line-ends.log": b"\n" * 5000,
    "around-a-block.log": b"".join(line(BLOCK + off) + line(3) for off in (-1, 0, 1)),
    "around-the-longest-line.log": b"".join(line(MAX_LINE + off) + line(3) for off in (-1, 0, 1)),
    "far-too-long.log": line(7) + line(5 * MAX_LINE) + line(7) + b"z" * (3 * MAX_LINE),
    "-dash ümläut 日本語 🙂.log": line(100) * 30,
    "n" * 244: line(10),
}


def blocks_of(receiver: Receiver) -> list[Block]:
    """All acknowledged events, in the order of their arrival."""
    events = ((event["headers"], event["body"]) for batch in receiver.batches for event in batch)
    return [
        Block(
            headers["headrace.file"],
            headers["headrace.size"],
            headers["headrace.position"],
            headers.get("headrace.length", ""),
            body,
        )
        for headers, body in events
    ]


def placed_bytes(blocks: list[Block]) -> int:
    """Return the bytes of the files that the blocks stand for, each place once."""
    return sum({(block.file, start): length for block in blocks for start, length, _ in places([block])}.values())


def unread(folder: Path) -> list[str]:
    """Return the names of the files that the source has not finished."""
    names = (path.name for path in (folder / "spool").iterdir())
    return [name for name in names if not name.startswith(".") and not name.endswith(".COMPLETED")]


def is_channel_full(agent: Agent) -> bool:
    """Whether the source has met a full channel, so that it reads a batch again."""
    metrics = agent.poll()
    return metrics is not None and any(source.count("ChannelWriteFail") for source in metrics.kind("SOURCE"))


@dataclass(frozen=True)
class Delivery:
    """What one agent did with all of :data:`FILES` and an empty file."""

    folder: Path
    receiver: Receiver
    agent: Agent
    ids: dict[str, str]


@pytest.fixture(scope="module", params=["memory", "file"])
def delivery(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Delivery]:
    """An agent whose channel is full at first, so that its source rolls back."""
    folder = tmp_path_factory.mktemp("blocks")
    (folder / "spool").mkdir()
    ids = {name: file_id(spool_id(folder / "spool"), drop(folder, name, content)) for name, content in FILES.items()}
    drop(folder, "empty.log", b"")
    with receiving() as receiver:
        receiver.status = FAILED
        with running_agent(folder, [receiver.place], {**SMALL_BLOCKS, "channel.type": request.param}) as agent:
            wait_until(lambda: is_channel_full(agent), 30, "a full channel")
            receiver.status = OK
            total = sum(map(len, FILES.values()))
            wait_until(lambda: placed_bytes(blocks_of(receiver)) == total and not unread(folder), 30, "all files")
            yield Delivery(folder, receiver, agent, ids)


@pytest.mark.java
@pytest.mark.parametrize("name", FILES)
def test_a_file_arrives_as_it_is(delivery: Delivery, name: str) -> None:
    blocks = [block for block in blocks_of(delivery.receiver) if block.file == delivery.ids[name]]
    content = FILES[name]
    assert sorted(places(blocks)) == expected_blocks(content, BLOCK, MAX_LINE)
    assert {block.size for block in blocks} == {str(len(content))}


@pytest.mark.java
def test_blocks_have_their_headers_and_an_empty_file_has_no_block(delivery: Delivery) -> None:
    events = [event for batch in delivery.receiver.batches for event in batch]
    names = {"headrace.file", "headrace.size", "headrace.position", "basename", "timestamp", "host"}
    assert all(event["headers"].keys() - {"headrace.length"} == names for event in events)
    found = {(event["headers"]["basename"], event["headers"]["headrace.file"]) for event in events}
    assert found == set(delivery.ids.items())
    # What the source has counted, too: the summary compares it with what arrived.
    metrics = delivery.agent.poll()
    assert metrics is not None
    assert metrics.events_read == len(events)


def delivered_again(delivery: Delivery, content: bytes) -> Block:
    """Hand a small file over under a name that is free again afterwards; return its block."""
    before = len(blocks_of(delivery.receiver))
    drop(delivery.folder, "again.log", content)
    wait_until(lambda: len(blocks_of(delivery.receiver)) > before, 30, "the file")
    wait_until(lambda: not unread(delivery.folder), 30, "the file to be finished")
    (delivery.folder / "spool" / "again.log.COMPLETED").unlink(missing_ok=True)
    return blocks_of(delivery.receiver)[before]


@pytest.mark.java
def test_another_file_under_the_same_name_has_another_id(delivery: Delivery) -> None:
    first, second = (delivered_again(delivery, b"%d same size\n" % number) for number in range(2))
    assert (first.body, second.body) == (b"0 same size\n", b"1 same size\n")
    assert first.file != second.file


@pytest.mark.java
@pytest.mark.parametrize(("channel", "from_start"), [("memory", True), ("file", False), ("file", True)])
def test_a_file_that_is_read_again_after_a_kill_has_the_same_places(
    tmp_path: Path, channel: str, *, from_start: bool
) -> None:
    content = b"".join(line(CHANCE.randrange(1, 900)) for _ in range(150))
    changes = {**SMALL_BLOCKS, "channel.type": channel}
    with receiving() as receiver:
        receiver.accepts = 2
        with running_agent(tmp_path, [receiver.place], changes) as agent:
            drop(tmp_path, "access.log", content)
            wait_until(lambda: receiver.refused and is_channel_full(agent), 30, "a full channel")
            os.kill(agent.pid, signal.SIGKILL)
            wait_until(lambda: agent.returncode is not None, 10, "the agent's end")
        before = blocks_of(receiver)
        if from_start:
            (tmp_path / "spool" / TRACKER).unlink()
        receiver.accepts = None
        with running_agent(tmp_path, [receiver.place], changes):
            wait_until(lambda: placed_bytes(blocks_of(receiver)) == len(content), 30, "the whole file")
            wait_until(lambda: not unread(tmp_path), 30, "the file to be finished")
        blocks = blocks_of(receiver)
        assert 0 < len(before) < len(expected_blocks(content, BLOCK, MAX_LINE))
        assert len({block.file for block in blocks}) == 1
        assert sorted(set(places(blocks))) == expected_blocks(content, BLOCK, MAX_LINE)
        if from_start:
            assert set(places(before)) <= set(places(blocks[len(before) :]))


def largest_accepted(folder: Path, key: str, changes: Mapping[str, object]) -> int:
    """Return the largest number of whole MiB, in bytes, that may be the value of ``key`` with this heap."""
    for size in range(64 * MIB, 0, -MIB):
        try:
            check_values(agent_values(folder, changes={**changes, key: size}))
        except RenderError:
            continue
        return size
    pytest.fail("no size is accepted")


@pytest.mark.java
@pytest.mark.parametrize(("channel", "key"), [("memory", "channel.max_bytes"), ("file", "sinks.max_batch_bytes")])
def test_the_smallest_heap_that_is_accepted_is_enough(tmp_path: Path, channel: str, key: str) -> None:
    """The receiver does not answer until the channel is full of blocks and longest lines."""
    content = (line(1024) * 3 * 1024 + line(4 * MIB)) * 12
    with receiving() as receiver:
        changes = {
            "spool.deserializer": "blocks",
            "spool.max_line_bytes": 4 * MIB,
            "spool.batch_blocks": 2,
            "channel.type": channel,
            "channel.capacity_blocks": 32,
            "sinks.max_batch_bytes": 4 * MIB,
            "jvm.heap_mib": 80,
        }
        size = largest_accepted(tmp_path, key, changes)
        with running_agent(tmp_path, [receiver.place], {**changes, key: size}) as agent:
            with receiver.requests:
                drop(tmp_path, "access.log", content)
                wait_until(lambda: is_channel_full(agent), 30, "a full channel")
            wait_until(lambda: agent.poll() and placed_bytes(blocks_of(receiver)) == len(content), 30, "the whole file")
        assert sorted(places(blocks_of(receiver))) == expected_blocks(content, MIB, 4 * MIB)


def test_a_damaged_spool_id_stops_the_start(tmp_path: Path) -> None:
    rendered = render_small(tmp_path, changes={**SMALL_BLOCKS, "channel.type": "memory"})
    (tmp_path / "spool" / SPOOL_ID_FILE).write_bytes(b"")
    agent = Agent(rendered, [], java=tmp_path / "nothing")
    with pytest.raises(AgentError, match="not a spool id"):
        agent.start()
