"""The kernels that find the lines in blocks, and copy some of them one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from headrace.common.kernels import BYTES, NUMBERS, SLOTS, TIMES, WRITABLE_BYTES, inlined, kernel
from spark_job.parse.kernels.loads import LOADS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Flags = NDArray[np.bool_]
    Loads = NDArray[np.uint64]
    Places = NDArray[np.int32]
    Numbers = NDArray[np.int64]

REACHED_BLOCK: Final = 0
REACHED_POSITION: Final = 1
REACHED_COLUMNS: Final = 2

_FLAGS = "Array(boolean, 1, 'C', readonly=True)"
_LINE_FEED = 0x0A
_LINE_FEEDS = np.uint64(0x0A0A0A0A0A0A0A0A)
_ONE, _TO_LOWEST_BIT, _TO_COUNT = np.uint64(1), np.uint64(7), np.uint64(56)
_ONES, _HIGH_BITS = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)


@inlined
def _feeds(word: np.uint64) -> np.uint64:
    """A mark of the line feeds among eight bytes."""
    other = word ^ _LINE_FEEDS
    return (other - _ONES) & ~other & _HIGH_BITS


@inlined
def _lowest(mark: np.uint64) -> int:
    """The number of bytes before the lowest marked one, see :mod:`.scan`."""
    bit = mark >> _TO_LOWEST_BIT
    return int(np.int64((((bit - _ONE) & ~bit & _ONES) * _ONES) >> _TO_COUNT))


@inlined
def _line_end(data: Bytes, loads: Loads, position: int, stop: int) -> int:
    """The position of the first line feed from here on, or ``stop``."""
    # A line has some hundred bytes: first by 32, then by 8, and by one at the end of the block only.
    while stop - position >= 32:
        low = _feeds(loads[position]) | _feeds(loads[position + 8])
        high = _feeds(loads[position + 16]) | _feeds(loads[position + 24])
        if low | high:
            break
        position += 32
    while stop - position >= 8:
        mark = _feeds(loads[position])
        if mark:
            return position + _lowest(mark)
        position += 8
    while position < stop and data[position] != _LINE_FEED:
        position += 1
    return position


@kernel(f"int64({BYTES}, {LOADS}, {TIMES}, {_FLAGS}, {NUMBERS}, {NUMBERS}, {SLOTS}, {SLOTS}, {SLOTS})")
def find_lines(
    data: Bytes,
    loads: Loads,
    bounds: Numbers,
    is_cut: Flags,
    reached: Numbers,
    counted: Numbers,
    starts: Places,
    stops: Places,
    blocks: Places,
) -> int:
    """Find the next lines, as many as there is room for.

    Args:
        data: the bytes of all blocks, one after the other.
        loads: ``data`` by eights, see :mod:`.loads`.
        bounds: where each block starts, and where the last one ends: nothing here checks that.
        is_cut: which blocks are one line, whatever is in them.
        reached: the block and the position to go on at; updated.
        counted: number of lines of each block that were found so far; updated.
        starts: filled with the start of each line.
        stops: filled with the end of each line, without its line feed.
        blocks: filled with the number of each line's block.

    Returns:
        The number of lines that were found; 0 at the end.
    """
    block, position = reached[REACHED_BLOCK], reached[REACHED_POSITION]
    lines = 0
    while block < len(is_cut) and lines < len(starts):
        behind = bounds[block + 1]
        # A cut line may be without a byte: so there is a line before the end is looked at.
        while is_cut[block] or position < behind:
            end = behind if is_cut[block] else _line_end(data, loads, position, behind)
            starts[lines] = position
            stops[lines] = end
            blocks[lines] = block
            counted[block] += 1
            lines += 1
            position = min(end + 1, behind)
            if is_cut[block] or lines == len(starts):
                break
        if position == behind:
            block += 1
    reached[REACHED_BLOCK] = block
    reached[REACHED_POSITION] = position
    return lines


@kernel(f"void({BYTES}, {TIMES}, {TIMES}, {WRITABLE_BYTES})")
def copy_lines(data: Bytes, starts: Numbers, stops: Numbers, copied: Bytes) -> None:
    """Copy lines one after the other.

    Args:
        data: the bytes of the lines.
        starts: where each line starts.
        stops: where each line ends.
        copied: filled with the lines; has room for them.
    """
    place = 0
    for line in range(len(starts)):
        for position in range(starts[line], stops[line]):
            copied[place] = data[position]
            place += 1
