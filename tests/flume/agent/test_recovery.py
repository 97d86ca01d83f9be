"""An agent that was killed goes on exactly where it was: each line is sent under one id."""

from __future__ import annotations

import errno
import os
import random
import signal
from functools import partial
from typing import TYPE_CHECKING, Any

import fastavro
import pytest

import flume.agent.process
from flume.agent.file_channel import Put, newest_puts
from flume.agent.recovery import SCHEMA, TRACKER, Advanced, LineRules, advance_tracker, end_of_batch
from flume.errors import RecoveryError
from tests.flume.agent.test_file_channel import COMMIT, EVENT, FILLED, PUT, write
from tests.support.agents import drop, running_agent
from tests.support.receiver import receiving
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.receiver import Receiver

RULES = LineRules("UTF-8", 40)
STAMP_S = int(EVENT.headers["timestamp"]) / 1000
LINE = EVENT.body + b"\n"


def left_behind(folder: Path, content: bytes, recorded: list[int], tracker_s: float) -> Path:
    """What a killed agent leaves whose newest batch is :data:`EVENT`; returns the tracker."""
    write(folder, PUT + COMMIT + FILLED)
    (folder / "x.log").write_bytes(content)
    tracker = folder / TRACKER
    tracker.parent.mkdir(exist_ok=True)
    with tracker.open("wb") as file:
        fastavro.writer(file, SCHEMA, [], metadata={"file": str(folder / "x.log")})
    for offset in recorded:
        with tracker.open("a+b") as file:
            fastavro.writer(file, SCHEMA, [{"offset": offset}])
    os.utime(tracker, (tracker_s, tracker_s))
    return tracker


def offsets(tracker: Path) -> list[object]:
    with tracker.open("rb") as file:
        # Flume creates it empty and writes its head with the first batch.
        empty = not tracker.stat().st_size
        return [] if empty else [record["offset"] for record in fastavro.reader(file)]  # type: ignore[index,call-overload]


@pytest.mark.parametrize(
    ("content", "recorded", "tracker_after_stamp_s", "is_recorded_now"),
    [
        (LINE + b"next\n", [], -1.0, True),
        (b"before\n" + LINE, [7], -1.0, True),
        (b"before\n" + EVENT.body, [7], -1.0, True),
        # Not the batch that follows.
        (LINE + b"next\n", [len(LINE)], 0.01, False),
        (b"another\n" + LINE, [], -1.0, False),
        (LINE, [len(LINE)], -1.0, False),
        (b"", [], -1.0, False),
        # The file repeats itself: the time decides, and where it does not, the batch counts as recorded.
        (LINE + LINE, [len(LINE)], -1.0, True),
        (LINE + LINE, [len(LINE)], 1.0, False),
        (LINE + LINE, [len(LINE)], 0.01, False),
        # A new file of the same name begins as the old one ended.
        (LINE, [], 1.0, False),
        (LINE, [], 0.01, True),
    ],
)
def test_a_batch_is_recorded_only_if_it_was_not(
    tmp_path: Path, content: bytes, recorded: list[int], tracker_after_stamp_s: float, *, is_recorded_now: bool
) -> None:
    tracker = left_behind(tmp_path, content, recorded, STAMP_S + tracker_after_stamp_s)
    start = recorded[-1] if recorded else 0
    end = min(start + len(LINE), len(content))
    wanted = Advanced(str(tmp_path / "x.log"), 1, end) if is_recorded_now else None
    assert advance_tracker(tmp_path, tmp_path, RULES) == wanted
    assert offsets(tracker) == ([end] if is_recorded_now else recorded)
    assert advance_tracker(tmp_path, tmp_path, RULES) is None


def test_without_a_tracker_a_file_or_a_channel_nothing_is_recorded(tmp_path: Path) -> None:
    assert advance_tracker(tmp_path, tmp_path, RULES) is None
    tracker = left_behind(tmp_path, LINE, [], STAMP_S - 1)
    (tmp_path / "x.log").unlink()
    assert advance_tracker(tmp_path, tmp_path, RULES) is None
    tracker.write_bytes(b"Obj\x01 and then something else")
    with pytest.raises(RecoveryError, match="not a tracker of Flume's"):
        advance_tracker(tmp_path, tmp_path, RULES)


def test_a_tracker_that_was_left_empty_gets_the_first_batch(tmp_path: Path) -> None:
    """Flume writes nothing into a new tracker until the first batch."""
    tracker = left_behind(tmp_path, LINE, [], STAMP_S - 1)
    tracker.write_bytes(b"")
    os.utime(tracker, (STAMP_S - 1, STAMP_S - 1))
    assert advance_tracker(tmp_path, tmp_path, RULES) == Advanced(str(tmp_path / "x.log"), 1, len(LINE))
    with tracker.open("rb") as file:
        assert fastavro.reader(file).metadata["file"] == str(tmp_path / "x.log")
    assert offsets(tracker) == [len(LINE)]

    tracker = left_behind(tmp_path, b"another\n", [], STAMP_S - 1)
    tracker.write_bytes(b"")
    assert advance_tracker(tmp_path, tmp_path, RULES) is None
    assert tracker.read_bytes() == b""


def test_the_last_whole_block_counts_and_other_damage_is_an_error_that_changes_nothing(tmp_path: Path) -> None:
    content = b"before\nand\n" + LINE
    tracker = left_behind(tmp_path, content, [7, 11, len(content)], STAMP_S - 1)
    whole = tracker.read_bytes()
    for torn in range(1, 16 + 2):
        tracker.write_bytes(whole[:-torn])
        os.utime(tracker, (STAMP_S - 1, STAMP_S - 1))
        assert advance_tracker(tmp_path, tmp_path, RULES) == Advanced(str(tmp_path / "x.log"), 1, len(content))
    drawn = random.Random(7)  # noqa: S311
    for _ in range(2000):
        damaged = bytearray(whole)
        damaged[drawn.randrange(len(whole))] = drawn.randrange(256)
        damaged = damaged[: drawn.randrange(len(whole) + 1)]
        tracker.write_bytes(damaged)
        try:
            recorded = advance_tracker(tmp_path, tmp_path, RULES)
        except RecoveryError:
            recorded = None
        assert (recorded is not None) == (tracker.read_bytes() != damaged)
        assert recorded is None or recorded.offset == len(content)


def test_a_disk_that_is_full_leaves_the_tracker_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    tracker = left_behind(tmp_path, LINE, [], STAMP_S - 1)
    before = tracker.read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RecoveryError, match="No space left"):
        advance_tracker(tmp_path, tmp_path, RULES)
    assert tracker.read_bytes() == before
    assert list(tracker.parent.iterdir()) == [tracker]


def test_a_charset_that_python_lacks_is_said(tmp_path: Path) -> None:
    left_behind(tmp_path, LINE, [], STAMP_S - 1)
    with pytest.raises(RecoveryError, match=r"spool\.charset = x-IBM943: .* lines cannot be compared"):
        advance_tracker(tmp_path, tmp_path, LineRules("x-IBM943", 40))


@pytest.mark.parametrize(
    ("content", "bodies", "end"),
    [
        (b"a\n\nb\r\n", [b"a", b"", b"b\r"], 6),
        ("première\n".encode(), ["première".encode()], 10),
        (b"bad \xff\xfe byte\n", ["bad \ufffd byte".encode()], 12),
        # Cut at the greatest length, 40: the line feed is left for an event of its own.
        (b"x" * 40 + b"\ny\n", [b"x" * 40, b"", b"y"], 43),
        (b"x" * 50 + b"\ny\n", [b"x" * 40, b"x" * 10, b"y"], 53),
        ("é".encode() * 50 + b"\n", ["é".encode() * 40, "é".encode() * 10], 101),
        (b"a\nb\n", [b"a", b"c"], None),
        (b"a\n", [b"a", b"b"], None),
    ],
)
def test_lines_are_cut_as_flume_cuts_them(content: bytes, bodies: list[bytes], end: int | None) -> None:
    assert end_of_batch(content, 0, [Put({}, body) for body in bodies], RULES) == end


def numbered(count: int) -> bytes:
    return b"".join(b"line %d of a file\n" % number for number in range(count))


def has_come_to(receiver: Receiver, goal: int) -> bool:
    return len(receiver.bodies) >= goal


def once_by_id(batches: list[list[dict[str, Any]]]) -> list[bytes]:
    """The bodies of what was received, each id once: what a sink sends again it sends under the same id."""
    return list({event["headers"]["id"]: event["body"] for batch in batches for event in batch}.values())


@pytest.mark.java
@pytest.mark.parametrize("committed", [6, 1], ids=["of a file", "the first of a file"])
@pytest.mark.parametrize("recorded", [True, False], ids=["recorded at start", "by Flume alone"])
def test_a_batch_that_was_committed_and_not_recorded_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, committed: int, recorded: bool
) -> None:
    """The tracker is set back by the block of its last batch, as it is when the kill comes before that is written."""
    lines = numbered(10_000)
    small = {"channel.capacity": 1000 * committed, "channel.transaction_capacity": 1000, "sinks.batch_size": 1000}
    with running_agent(tmp_path, changes=small) as agent:
        drop(tmp_path, "access.log", lines)
        tracker = tmp_path / "spool" / TRACKER
        wait_until(lambda: tracker.exists() and len(offsets(tracker)) == committed, 30, "the channel to be full")
        os.kill(agent.pid, signal.SIGKILL)
        wait_until(lambda: agent.returncode is not None, 30, "the agent to be dead")
    assert len(newest_puts(tmp_path / "channel" / "data")) == 1000
    whole = tracker.read_bytes()
    tracker.write_bytes(whole[: whole.rindex(whole[-16:], 0, -16) + 16] if committed > 1 else b"")
    before_s = tracker.stat().st_mtime - 3600
    os.utime(tracker, (before_s, before_s))
    if not recorded:
        monkeypatch.setattr(flume.agent.process, "advance_tracker", lambda *_args: None)

    with receiving() as receiver, running_agent(tmp_path, [receiver.place], small) as agent:
        wait_until(lambda: not (tmp_path / "spool" / "access.log").exists(), 60, "the file to be read")
        wait_until(lambda: b"line 9999 of a file" in receiver.bodies, 60, "the last line")
        sent = once_by_id(receiver.batches)
    repeated = [] if recorded else lines.splitlines()[1000 * (committed - 1) : 1000 * committed]
    assert sorted(sent) == sorted(lines.splitlines() + repeated)


@pytest.mark.java
@pytest.mark.slow
def test_ten_kills_at_random_moments_lose_and_double_nothing(tmp_path: Path) -> None:
    lines = numbered(200_000)
    drawn = random.Random(11)  # noqa: S311
    spool = tmp_path / "spool"
    spool.mkdir()
    (spool / "access.log").write_bytes(lines)
    with receiving() as receiver:
        for _ in range(10):
            with running_agent(tmp_path, [receiver.place]) as agent:
                goal = len(receiver.bodies) + drawn.randrange(1, 12_000)
                wait_until(partial(has_come_to, receiver, goal), 60, "more lines")
                os.kill(agent.pid, signal.SIGKILL)
                wait_until(lambda: agent.returncode is not None, 30, "the agent to be dead")
        with running_agent(tmp_path, [receiver.place]) as agent:
            wait_until(lambda: b"line 199999 of a file" in receiver.bodies, 60, "the last line")
            wait_until(lambda: not list(spool.glob("*.log")), 60, "the file to be read")
        sent = once_by_id(receiver.batches)
    assert sorted(sent) == sorted(lines.splitlines())
