"""Kernels that find the lines of a block: 0x0A ends a line, and the last one may lack it.

Only 0x0A counts, in whatever charset the file is: so a place never depends on how somebody reads the bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.common.kernels import BYTES, kernel

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]

LINE_END = 0x0A


@kernel(f"int64({BYTES})")
def count_lines(data: Bytes) -> int:
    """Return how many lines begin in ``data``, the first one at its beginning."""
    ends = 0
    # A plain sum, which the compiler vectorises: this loop sees every byte that the bridge stores.
    for position in range(len(data)):
        ends += data[position] == LINE_END
    if len(data) > 0 and data[len(data) - 1] != LINE_END:
        return ends + 1
    return ends


@kernel(f"int64({BYTES}, int64)")
def line_start(data: Bytes, number: int) -> int:
    """Return where line ``number`` begins, counted from 0; the end of ``data`` if it has no more lines."""
    if number <= 0:
        return 0
    left = number
    for position in range(len(data)):
        if data[position] == LINE_END:
            left -= 1
            if left == 0:
                return position + 1
    return len(data)
