"""The kernels of sums alone: equal keys share a row, and a key without a free slot is left."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spark_job.parse.kernels import scan, sums
from spark_job.parse.kernels.loads import loads_of

PANE_US = 60
ROWS = 64


def test_the_columns_of_a_scan_are_those_that_are_added_up() -> None:
    """A constant of another file would be compiled in, so both files have them."""
    assert (sums._TIME_US, sums._START, sums._END, sums._HASH, sums._SIZE, sums._IS_ERROR) == (
        scan.TIME_US, scan.TARGET_START, scan.TARGET_END, scan.TARGET_HASH, scan.SIZE, scan.IS_ERROR,
    )  # fmt: skip
    assert sums._NOT_TAKEN == scan.NOT_TAKEN


@given(
    st.lists(
        st.tuples(
            st.integers(-200, 200),
            st.sampled_from(["/a", "/b", "/ab", "/c", "/as/long/as/this", "/as/long/as/that", "/as/long", "/as/lons"]),
            st.integers(0, 9),
        ),
        max_size=40,
    ),
    st.sampled_from([0xFFFFFFFF, 0x1]),
    st.sampled_from([-(2**63), 2**63 - 1]) | st.integers(-210, 210),
    st.booleans(),
)
def test_lines_are_added_up_by_pane_and_target(
    lines: list[tuple[int, str, int]],
    mask: int,
    oldest_us: int,
    by_arrival: bool,  # noqa: FBT001
) -> None:
    """A mask of one bit lets targets share hashes, so that the kernel must compare their texts."""
    content = b"".join(target.encode() for _, target, _ in lines)
    found = np.empty((len(lines), scan.FOUND_COLUMNS), np.int64)
    place = 0
    for row, (time_us, target, size) in enumerate(lines):
        hash_of = sum(target.encode()) & mask
        found[row] = (0 if by_arrival else time_us, place, place + len(target), hash_of, size, size % 2)
        place += len(target)
    kept = np.empty(1024, np.uint8)
    targets = np.empty((ROWS, sums.TARGET_COLUMNS), np.int64)
    rows = np.empty((ROWS, sums.SUM_COLUMNS), np.int64)
    target_slots, sum_slots = np.full(2 * ROWS, sums.EMPTY, np.int32), np.full(2 * ROWS, sums.EMPTY, np.int32)
    used, left = np.zeros(sums.COUNTERS, np.int64), np.empty(len(lines), np.int64)
    arrived_us = np.array([time_us for time_us, *_ in lines] if by_arrival else [], np.int64)
    data = np.frombuffer(content, np.uint8) if content else np.empty(0, np.uint8)
    not_taken = sums.add(
        data, loads_of(data), found, arrived_us, PANE_US, oldest_us,
        kept, loads_of(kept), targets, target_slots, rows, sum_slots, used, left,
    )  # fmt: skip
    assert left[:not_taken].tolist() == [row for row, (time_us, *_) in enumerate(lines) if time_us < oldest_us]
    lines = [line for line in lines if line[0] >= oldest_us]
    texts = [
        bytes(kept[row[sums.TARGET_PLACE] : row[sums.TARGET_PLACE] + row[sums.TARGET_LENGTH]]).decode()
        for row in targets[: used[sums.TARGETS_USED]]
    ]
    assert sorted(texts) == sorted({target for _, target, _ in lines})
    hits: Counter[tuple[int, str]] = Counter((time_us // PANE_US, target) for time_us, target, _ in lines)
    counted = rows[: used[sums.SUMS_USED]]
    assert {(int(row[sums.SUM_PANE]), texts[row[sums.SUM_TARGET]]): row[sums.SUM_HITS] for row in counted} == hits
    assert counted[:, sums.SUM_BYTES].sum() == sum(size for *_, size in lines)
    assert counted[:, sums.SUM_ERRORS].sum() == sum(size % 2 for *_, size in lines)


def test_a_row_without_a_slot_nearby_gets_none() -> None:
    """Clients choose the targets: a search that could not end would be theirs to cause."""
    slots = np.full(128, sums.EMPTY, np.int32)
    sums.fill_slots(np.full(40, 5, np.int64), slots)
    assert slots[5 : 5 + sums.MAX_STEPS].tolist() == list(range(sums.MAX_STEPS))
    assert (slots != sums.EMPTY).sum() == sums.MAX_STEPS
