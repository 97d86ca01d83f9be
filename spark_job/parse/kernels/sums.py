"""The kernels that add up what :mod:`.scan` found: sums per pane and request target, in arrays that the caller owns.

==========  =========================================================================================================
array       content
==========  =========================================================================================================
kept        the bytes of all targets, each once, one behind the other
targets     a row for each target: hash, start and length in ``kept``, the row of ``sums`` that was last used for it
sums        a row for each pane and target: hash, pane, target, latest time, lines, bytes, errors
slots       for ``targets`` and for ``sums``: the row at the place that a hash leads to, or :data:`EMPTY`
==========  =========================================================================================================

Hashes that lead to one place take the slots after it. After :data:`MAX_STEPS` the search is given up and the line left
to the parser: clients choose the targets, and could choose them so that all collide. A row that has no slot is not
found again, and another takes over; whoever reads the sums adds rows of one key up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from headrace.common.kernels import BYTES, NUMBERS, SLOTS, TABLE, TIMES, WRITABLE_BYTES, inlined, kernel

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Slots = NDArray[np.int32]
    Numbers = NDArray[np.int64]

TARGET_HASH: Final = 0
TARGET_PLACE: Final = 1
TARGET_LENGTH: Final = 2
TARGET_LAST_SUM: Final = 3
TARGET_COLUMNS: Final = 4

SUM_HASH: Final = 0
SUM_PANE: Final = 1
SUM_TARGET: Final = 2
SUM_LATEST_US: Final = 3
SUM_HITS: Final = 4
SUM_BYTES: Final = 5
SUM_ERRORS: Final = 6
SUM_COLUMNS: Final = 7

TARGETS_USED: Final = 0
BYTES_USED: Final = 1
SUMS_USED: Final = 2
COUNTERS: Final = 3

EMPTY: Final = -1
MAX_STEPS: Final = 32

# The columns of `scan.py` again: a constant of another file would be compiled in, and its change not noticed.
_TIME_US, _START, _END, _HASH, _SIZE, _IS_ERROR = 0, 1, 2, 3, 4, 5
_NOT_TAKEN = -(2**62)
# Odd and below 2**31, so that nothing goes beyond a signed number of 64 bits.
_PANE_FACTOR, _TARGET_FACTOR, _LOWER_31_BITS = 0x5BD1E995, 0x2C1B3C6D, 0x7FFFFFFF


@inlined
def _target_row(
    data: Bytes, start: int, end: int, value: int, kept: Bytes, targets: Numbers, slots: Slots, used: Numbers
) -> int:
    """The row of a target, which is a new one if it was not there; -1 if there is no slot for it nearby."""
    mask = len(slots) - 1
    length = end - start
    for step in range(MAX_STEPS):
        slot = (value + step) & mask
        row = int(slots[slot])
        if row == EMPTY:
            row = int(used[TARGETS_USED])
            place = int(used[BYTES_USED])
            for ahead in range(length):
                kept[place + ahead] = data[start + ahead]
            targets[row, TARGET_HASH] = value
            targets[row, TARGET_PLACE] = place
            targets[row, TARGET_LENGTH] = length
            targets[row, TARGET_LAST_SUM] = EMPTY
            slots[slot] = row
            used[TARGETS_USED] = row + 1
            used[BYTES_USED] = place + length
            return row
        if targets[row, TARGET_HASH] == value and targets[row, TARGET_LENGTH] == length:
            place = int(targets[row, TARGET_PLACE])
            ahead = 0
            while ahead < length and kept[place + ahead] == data[start + ahead]:
                ahead += 1
            if ahead == length:
                return row
    return -1


@inlined
def _sum_row(pane: int, target: int, targets: Numbers, sums: Numbers, slots: Slots, used: Numbers) -> int:
    """The row of a pane and a target, which is a new one if it was not there; -1 if there is no slot for it nearby."""
    # Logs are in the order of time, nearly.
    row = int(targets[target, TARGET_LAST_SUM])
    if row != EMPTY and sums[row, SUM_PANE] == pane:
        return row
    value = (pane & _LOWER_31_BITS) * _PANE_FACTOR + target * _TARGET_FACTOR
    value ^= value >> 29
    mask = len(slots) - 1
    for step in range(MAX_STEPS):
        slot = (value + step) & mask
        row = int(slots[slot])
        if row == EMPTY:
            row = int(used[SUMS_USED])
            sums[row, SUM_HASH] = value
            sums[row, SUM_PANE] = pane
            sums[row, SUM_TARGET] = target
            sums[row, SUM_LATEST_US] = _NOT_TAKEN
            sums[row, SUM_HITS] = 0
            sums[row, SUM_BYTES] = 0
            sums[row, SUM_ERRORS] = 0
            slots[slot] = row
            used[SUMS_USED] = row + 1
        if sums[row, SUM_PANE] == pane and sums[row, SUM_TARGET] == target:
            targets[target, TARGET_LAST_SUM] = row
            return row
    return -1


@kernel(
    f"int64({BYTES}, {TABLE}, {TIMES}, int64, "
    f"{WRITABLE_BYTES}, {TABLE}, {SLOTS}, {TABLE}, {SLOTS}, {NUMBERS}, {NUMBERS})"
)
def add(
    data: Bytes,
    found: Numbers,
    arrived_us: Numbers,
    pane_us: int,
    kept: Bytes,
    targets: Numbers,
    target_slots: Slots,
    sums: Numbers,
    sum_slots: Slots,
    used: Numbers,
    left: Numbers,
) -> int:
    """Add lines up.

    Args:
        data: the lines, as ``found`` points into them.
        found: what :func:`.scan.scan` made of them.
        arrived_us: for each line the time to count it by; empty to count by the line's own.
        pane_us: length of a pane.
        kept: see the head of this file; with room for the bytes of the lines' targets.
        targets: with room for as many new rows as there are lines.
        target_slots: at least twice as many as rows of ``targets``, a power of two.
        sums: with room for as many new rows as there are lines.
        sum_slots: at least twice as many as rows of ``sums``, a power of two.
        used: how many targets, bytes of them and sums there are; updated.
        left: filled with the places of the lines that were not taken.

    Returns:
        How many were not taken.
    """
    count = 0
    for line in range(len(found)):
        time_us = found[line, _TIME_US]
        row = -1
        if time_us != _NOT_TAKEN:
            start, end, value = found[line, _START], found[line, _END], found[line, _HASH]
            target = _target_row(data, start, end, value, kept, targets, target_slots, used)
            if target >= 0:
                if len(arrived_us) > 0:
                    time_us = arrived_us[line]
                row = _sum_row(time_us // pane_us, target, targets, sums, sum_slots, used)
        if row < 0:
            left[count] = line
            count += 1
            continue
        sums[row, SUM_LATEST_US] = max(time_us, sums[row, SUM_LATEST_US])
        sums[row, SUM_HITS] += 1
        sums[row, SUM_BYTES] += found[line, _SIZE]
        sums[row, SUM_ERRORS] += found[line, _IS_ERROR]
    return count


@kernel(f"void({NUMBERS}, {SLOTS})")
def fill_slots(hashes: Numbers, slots: Slots) -> None:
    """Give every row a slot, or none where there is none nearby.

    Args:
        hashes: those of the rows, in order.
        slots: all empty, a power of two of them.
    """
    mask = len(slots) - 1
    for row in range(len(hashes)):
        for step in range(MAX_STEPS):
            slot = (hashes[row] + step) & mask
            if slots[slot] == EMPTY:
                slots[slot] = row
                break
