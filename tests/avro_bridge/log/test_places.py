"""Which bytes of which file are stored: the table against sets of bytes."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avro_bridge.contract import Place
from avro_bridge.log import places
from avro_bridge.log.environment import Environment
from avro_bridge.log.folder_lock import FolderLock
from avro_bridge.log.record import FilePlace
from tests.support.blocks import FILE_ID, OTHER_FILE_ID
from tests.support.log_helpers import MIB

if TYPE_CHECKING:
    from collections.abc import Iterator

# Neighbours in the order of the keys: what belongs to one must not be taken for the other's.
FILES = (bytes(32), FILE_ID, OTHER_FILE_ID, b"\xff" * 32)
SIZE = 16
"""Small, so that intervals touch and overlap often."""


@pytest.fixture
def environment() -> Iterator[Environment]:
    with tempfile.TemporaryDirectory() as folder:
        opened = Environment(Path(folder), map_bytes=4 * MIB, lock=FolderLock(Path(folder)))
        yield opened
        opened.close()


def runs(numbers: set[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if found and found[-1][1] == number:
            found[-1] = found[-1][0], number + 1
        else:
            found.append((number, number + 1))
    return found


ranges = st.tuples(st.integers(0, SIZE), st.integers(1, SIZE)).map(lambda pair: (pair[0], min(pair[1], SIZE)))
additions = st.lists(st.tuples(st.sampled_from(FILES), ranges), max_size=30)


@given(additions=additions, asked=st.lists(st.tuples(st.sampled_from(FILES), ranges), min_size=1, max_size=5))
def test_gaps_and_intervals_are_those_of_sets_of_bytes(
    additions: list[tuple[bytes, tuple[int, int]]], asked: list[tuple[bytes, tuple[int, int]]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        environment = Environment(Path(folder), map_bytes=4 * MIB, lock=FolderLock(Path(folder)))
        stored: dict[bytes, set[int]] = {}
        with environment.write("test") as transaction:
            for offset, (file_id, (start, length)) in enumerate(additions):
                place = Place(file_id, start, length)
                missing = set(range(start, start + length)) - stored.get(file_id, set())
                assert places.gaps(environment, transaction, place) == runs(missing)
                places.add(environment, transaction, FilePlace(place, SIZE), offset)
                stored.setdefault(file_id, set()).update(range(start, start + length))
        with environment.read() as transaction:
            for file_id in FILES:
                found = places.stored_of(environment, transaction, file_id)
                assert (list(found.intervals) if found else None) == (
                    runs(stored[file_id]) if file_id in stored else None
                )
                assert found is None or (found.size, found.stored_bytes) == (SIZE, len(stored[file_id]))
            for file_id, (start, length) in asked:
                missing = set(range(start, start + length)) - stored.get(file_id, set())
                assert places.gaps(environment, transaction, Place(file_id, start, length)) == runs(missing)
            assert transaction.stat(environment.files)["entries"] == len(stored)
        environment.close()


def test_a_file_that_was_read_in_order_has_one_interval(environment: Environment) -> None:
    with environment.write("test") as transaction:
        for number in range(100):
            places.add(environment, transaction, FilePlace(Place(FILE_ID, number * 10, 10), 1000), number)
        # One row for the file, one for the interval.
        assert transaction.stat(environment.places)["entries"] == 2


@pytest.mark.parametrize("order", [(0, 5, 10), (10, 5, 0), (0, 10, 5), (5, 0, 10)])
def test_intervals_that_touch_are_one(environment: Environment, order: tuple[int, int, int]) -> None:
    with environment.write("test") as transaction:
        for offset, start in enumerate(order):
            places.add(environment, transaction, FilePlace(Place(FILE_ID, start, 5), 15), offset)
        found = places.stored_of(environment, transaction, FILE_ID)
    assert found is not None
    assert found.intervals == ((0, 15),)


def test_the_files_that_were_stored_longest_ago_are_forgotten(environment: Environment) -> None:
    ids = [bytes([number]) * 32 for number in range(5)]
    with environment.write("test") as transaction:
        for offset, number in enumerate([0, 1, 2, 3, 4, 0]):
            places.add(environment, transaction, FilePlace(Place(ids[number], 10 * offset, 5), 100), offset)
        assert places.forget_oldest(environment, transaction, 5) == 0
        assert places.forget_oldest(environment, transaction, 2) == 3
        known = [places.stored_of(environment, transaction, each) is not None for each in ids]
        # The first file was stored again last.
        assert known == [True, False, False, False, True]
        assert transaction.stat(environment.places)["entries"] == 2 + 3


def test_one_transaction_forgets_a_bounded_number_of_files(environment: Environment) -> None:
    with environment.write("test") as transaction:
        for offset in range(places.MAX_FORGOTTEN + 3):
            place = Place(bytes([offset]) * 32, 0, 5)
            places.add(environment, transaction, FilePlace(place, 5), offset)
        assert places.forget_oldest(environment, transaction, 1) == places.MAX_FORGOTTEN
        assert places.forget_oldest(environment, transaction, 1) == 2


def test_a_log_of_the_first_format_has_no_places(tmp_path: Path) -> None:
    """To be read, it is opened without the tables that it lacks."""
    import lmdb

    with lmdb.open(str(tmp_path), max_dbs=8) as old:
        for name in (b"batches", b"meta", b"consumers", b"doubts"):
            old.open_db(name)
    environment = Environment(tmp_path, map_bytes=0, lock=None)
    with environment.read() as transaction:
        assert places.stored_of(environment, transaction, FILE_ID) is None
    environment.close()
