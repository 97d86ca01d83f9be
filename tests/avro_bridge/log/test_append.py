"""Blocks in a log: each line is stored once, however its file is cut, repeated and mixed."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from avro_bridge.errors import LogWriteFailed
from avro_bridge.log.blocks import read_block
from avro_bridge.log.log import Log
from avro_bridge.log.record import PayloadKind
from avro_bridge.log.settings import LogSettings
from tests.support.blocks import FILE_ID, OTHER_FILE_ID, block_event, cuts, file_contents, line_starts, pending_blocks
from tests.support.log_helpers import MIB, FaultyEnvironment, lines

if TYPE_CHECKING:
    from avro_bridge.log.record import PendingBatch

SETTINGS = LogSettings(max_bytes=16 * MIB)


def stored_lines(log: Log) -> dict[bytes, list[tuple[int, bytes]]]:
    """Return position and bytes of each stored line of each file, in the order of the offsets."""
    found: dict[bytes, list[tuple[int, bytes]]] = {}
    offset = log.first_offset
    with log.read(log.first_offset, log.next_offset) as reader:
        for batch in reader:
            assert batch.first_offset == offset
            offset = batch.end_offset
            if batch.kind is PayloadKind.EVENTS:
                continue
            block = read_block(batch)
            body, position = bytes(block.lines), block.place.position
            starts = line_starts(body)
            assert len(starts) - 1 == batch.count
            found.setdefault(block.place.file_id, []).extend(
                (position + start, body[start:stop]) for start, stop in itertools.pairwise(starts)
            )
    return found


@settings(max_examples=60)
@given(data=st.data(), one=file_contents, other=file_contents)
def test_any_cut_of_files_into_blocks_is_stored_once(data: st.DataObject, one: bytes, other: bytes) -> None:
    files = {FILE_ID: one, OTHER_FILE_ID: other}
    blocks = [(file_id, *cut) for file_id, content in files.items() for cut in data.draw(cuts(content), label="cuts")]
    order = data.draw(st.permutations(blocks), label="order")
    groups = data.draw(st.lists(st.integers(1, 4), max_size=10), label="blocks of one transaction")
    with tempfile.TemporaryDirectory() as folder:
        rest = list(order)
        for size in [*groups, len(rest)]:
            # Opened again for each group: what a group knows must be on disk.
            with Log.open(Path(folder), SETTINGS) as log:
                group = [
                    batch
                    for file_id, start, stop in rest[:size]
                    for batch in pending_blocks(block_event(files[file_id], start, stop, file_id=file_id))
                ]
                rest = rest[size:]
                offered = sum(each.count for each in group)
                before = log.metadata()
                log.append(group)
                now = log.metadata()
                stored = now.next_offset - before.next_offset
                assert now.counters["stored_events"] == now.next_offset
                assert now.counters["deduplicated_events"] == before.counters["deduplicated_events"] + offered - stored
        with Log.open(Path(folder), SETTINGS) as log:
            found, known = stored_lines(log), log.places(files)
        for file_id, content in files.items():
            offered_bytes = {byte for each, start, stop in blocks if each == file_id for byte in range(start, stop)}
            starts = line_starts(content)
            expected = [
                (start, content[start:stop]) for start, stop in itertools.pairwise(starts) if start in offered_bytes
            ]
            assert sorted(found.get(file_id, [])) == expected
            held = {byte for low, high in known[file_id].intervals for byte in range(low, high)} if expected else set()
            assert held == offered_bytes


def test_a_block_that_is_stored_already_has_no_offset(tmp_path: Path) -> None:
    def again() -> list[PendingBatch]:
        return pending_blocks(block_event(b"a\nb\n", 0, 4))

    with Log.open(tmp_path, SETTINGS) as log:
        assert log.append([*again(), *again(), lines(1)]) == [0, None, 2]
        assert log.append(again()) == [None]
        assert (log.next_offset, log.counters()["deduplicated_events"]) == (3, 4)


def test_the_same_bytes_of_another_file_are_other_lines(tmp_path: Path) -> None:
    with Log.open(tmp_path, SETTINGS) as log:
        log.append(pending_blocks(block_event(b"a\n", 0, 2)))
        assert log.append(pending_blocks(block_event(b"a\n", 0, 2, file_id=OTHER_FILE_ID))) == [1]


def test_a_write_that_fails_leaves_no_place(tmp_path: Path) -> None:
    """Else the resend would be dropped as stored, and its lines lost."""
    with Log.open(tmp_path, SETTINGS, FaultyEnvironment) as log:
        environment = log._environment
        assert isinstance(environment, FaultyEnvironment)
        environment.fail_next("append")
        with pytest.raises(LogWriteFailed):
            log.append(pending_blocks(block_event(b"a\nb\n", 0, 4)))
        assert log.places([FILE_ID]) == {}
        assert log.append(pending_blocks(block_event(b"a\nb\n", 0, 4))) == [0]
        assert log.places([FILE_ID])[FILE_ID].intervals == ((0, 4),)


def test_deleting_the_lines_does_not_forget_their_place(tmp_path: Path) -> None:
    with Log.open(tmp_path, SETTINGS) as log:
        log.append(pending_blocks(block_event(b"a\nb\n", 0, 4)))
        log.start_consumer("spark", "earliest")
        log.commit("spark", 2)
        assert log.retain(0).events == 2
        assert log.append(pending_blocks(block_event(b"a\nb\n", 0, 4))) == [None]


def test_more_files_than_the_setting_allows_are_forgotten(tmp_path: Path) -> None:
    with Log.open(tmp_path, LogSettings(max_bytes=16 * MIB, max_files=2)) as log:
        ids = [bytes([number]) * 32 for number in range(4)]
        for file_id in ids:
            log.append(pending_blocks(block_event(b"a\n", 0, 2, file_id=file_id)))
        assert set(log.places(ids)) == set(ids[2:])


def test_what_is_known_of_files_never_takes_the_room_of_lines(tmp_path: Path) -> None:
    """Lines are deleted, and what is known of their files stays: it must not fill the file until nothing fits."""
    settings = LogSettings(max_bytes=MIB, slack_bytes=MIB, max_files=20_000)
    with Log.open(tmp_path, settings) as log:
        log.start_consumer("spark", "earliest")
        for first in range(0, 20_000, 1000):
            # Ids in no order, as digests are.
            ids = [xxhash.xxh3_128_digest(b"%d" % number) * 2 for number in range(first, first + 1000)]
            log.append([batch for each in ids for batch in pending_blocks(block_event(b"a\n", 0, 2, file_id=each))])
            log.commit("spark", log.next_offset)
            while log.retain(0).events:
                pass
        assert (log.next_offset, log.used_bytes) == (20_000, 0)
        assert log.append([lines(1, 500_000)]) == [20_000]


def test_a_file_with_very_many_gaps_is_forgotten_like_very_many_files(tmp_path: Path) -> None:
    content = b"a\n" * 1000
    with Log.open(tmp_path, LogSettings(max_bytes=16 * MIB, max_files=50)) as log:
        for start in range(0, len(content), 4):
            log.append(pending_blocks(block_event(content, start, start + 2)))
            known = log.places([FILE_ID])
            assert len(known[FILE_ID].intervals if known else ()) <= 4 * 50
        assert log.next_offset == 500
