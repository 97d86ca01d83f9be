"""The kernels that add up what :mod:`.scan` found, per pane and request target, in arrays of the caller.

==========  =========================================================================================================
array       content
==========  =========================================================================================================
kept        the bytes of all targets, each once, one after the other
targets     a row for each target: hash, start and length in ``kept``, and the row of ``sums`` that it used last
sums        a row for each pane and target: hash, pane, target, latest time, lines, bytes, errors
slots       the hash tables of ``targets`` and of ``sums``: a row number, or :data:`EMPTY`
==========  =========================================================================================================

The hash tables use linear probing. After :data:`MAX_STEPS` probes the search ends and the line is left to the parser:
clients choose the targets, and could choose them so that all collide. A row that got no slot when a table grew is not
found again, so a second row with the same key may follow; the reader of the sums adds rows with the same key up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from headrace.common.kernels import BYTES, NUMBERS, SLOTS, TABLE, TIMES, WRITABLE_BYTES, inlined, kernel
from spark_job.parse.kernels.loads import LOADS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Loads = NDArray[np.uint64]
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

# The columns of `scan.py` once more, compared by a test: numba would compile a constant of another file into the cached
# machine code, and would not notice when it changes.
_TIME_US, _START, _END, _HASH, _SIZE, _IS_ERROR = 0, 1, 2, 3, 4, 5
_NOT_TAKEN = -(2**62)
# Odd and below 2**31, so that the products fit into a signed integer of 64 bits.
_PANE_FACTOR, _TARGET_FACTOR, _LOWER_31_BITS = 0x5BD1E995, 0x2C1B3C6D, 0x7FFFFFFF


@inlined
def _same(data: Bytes, loads: Loads, start: int, kept: Bytes, kept_loads: Loads, place: int, length: int) -> bool:
    """Whether the bytes from ``start`` on are those that are kept from ``place`` on."""
    ahead = 0
    if length < 8:
        while ahead < length and kept[place + ahead] == data[start + ahead]:
            ahead += 1
        return ahead == length
    while length - ahead >= 8:
        if kept_loads[place + ahead] != loads[start + ahead]:
            return False
        ahead += 8
    # The last eight, of which some are compared already.
    return bool(kept_loads[place + length - 8] == loads[start + length - 8])


@inlined
def _target_row(
    data: Bytes,
    loads: Loads,
    start: int,
    end: int,
    value: int,
    kept: Bytes,
    kept_loads: Loads,
    targets: Numbers,
    slots: Slots,
    used: Numbers,
) -> int:
    """The row of a target, which is added if it is new; -1 if all slots in reach are taken."""
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
            if _same(data, loads, start, kept, kept_loads, place, length):
                return row
    return -1


@inlined
def _sum_row(pane: int, target: int, targets: Numbers, sums: Numbers, slots: Slots, used: Numbers) -> int:
    """The row of a pane and a target, which is added if it is new; -1 if all slots in reach are taken."""
    # Logs are nearly in order of time, so a target's next line is mostly in the pane of its last one.
    row = int(targets[target, TARGET_LAST_SUM])
    if row != EMPTY and sums[row, SUM_PANE] == pane:
        return row
    value = (pane & _LOWER_31_BITS) * _PANE_FACTOR + target * _TARGET_FACTOR
    # The lower bits choose the slot, and the upper ones depend on all bits of both factors: fold them in.
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
            # Before any time, so that the first line sets it.
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
    f"int64({BYTES}, {LOADS}, {TABLE}, {TIMES}, int64, int64, "
    f"{WRITABLE_BYTES}, {LOADS}, {TABLE}, {SLOTS}, {TABLE}, {SLOTS}, {NUMBERS}, {NUMBERS})"
)
def add(
    data: Bytes,
    loads: Loads,
    found: Numbers,
    arrived_us: Numbers,
    pane_us: int,
    oldest_us: int,
    kept: Bytes,
    kept_loads: Loads,
    targets: Numbers,
    target_slots: Slots,
    sums: Numbers,
    sum_slots: Slots,
    used: Numbers,
    left: Numbers,
) -> int:
    """Add lines up.

    The caller makes the arrays large enough for the worst case, each line a new target and a new sum: nothing here
    checks their bounds.

    Args:
        data: the bytes that ``found`` points into.
        loads: ``data`` by eights, see :mod:`.loads`.
        found: the result of :func:`.scan.scan`.
        arrived_us: for each line the time to count it by; empty to count by the time in the line.
        pane_us: length of a pane.
        oldest_us: lines of earlier times are not taken.
        kept: as in the module's head; has room for the bytes of the lines' targets.
        kept_loads: ``kept`` by eights.
        targets: has room for one new row per line.
        target_slots: a power of two of slots, at least two for each row of ``targets``.
        sums: has room for one new row per line.
        sum_slots: a power of two of slots, at least two for each row of ``sums``.
        used: number of targets, of their bytes, and of sums; updated.
        left: filled with the row numbers of the lines that were not taken.

    Returns:
        The number of lines that were not taken.
    """
    count = 0
    pane = pane_start_us = 0
    for line in range(len(found)):
        time_us = found[line, _TIME_US]
        row = -1
        if time_us != _NOT_TAKEN:
            if len(arrived_us) > 0:
                time_us = arrived_us[line]
            if time_us >= oldest_us:
                start, end, value = found[line, _START], found[line, _END], found[line, _HASH]
                target = _target_row(
                    data, loads, start, end, value, kept, kept_loads, targets, target_slots, used
                )  # fmt: skip
                # Most lines are in the pane of the line before, and a division takes as long as a good part of a line.
                if not pane_start_us <= time_us < pane_start_us + pane_us:
                    # Rounded down also before 1970, as Polars does in rollup.py: both ways need the same panes.
                    pane = time_us // pane_us
                    pane_start_us = pane * pane_us
                if target >= 0:
                    row = _sum_row(pane, target, targets, sums, sum_slots, used)
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
    """Give every row a slot, or none if all slots in reach are taken.

    Args:
        hashes: the rows' hashes, in order.
        slots: a power of two of slots, all empty.
    """
    mask = len(slots) - 1
    for row in range(len(hashes)):
        for step in range(MAX_STEPS):
            slot = (hashes[row] + step) & mask
            if slots[slot] == EMPTY:
                slots[slot] = row
                break
