"""Bytes by eights, for kernels that compare eight bytes at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LOADS: Final = "Array(uint64, 1, 'A', readonly=True, aligned=False)"
"""The type of :func:`loads_of`, in numba's notation."""
SIZE: Final = 8


def loads_of(data: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return for each byte the number that it and the seven bytes behind it make; copies nothing.

    The elements overlap, and the last seven bytes have none. The first byte is the lowest of its number: Arrow and all
    machines that it is built for have this order.
    """
    return np.ndarray((max(0, len(data) - SIZE + 1),), "<u8", buffer=data, strides=(1,))
