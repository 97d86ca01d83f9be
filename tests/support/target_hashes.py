"""The hash of a request target, as the scan kernel makes it: once more, for tests that compare or need collisions."""

from __future__ import annotations

import re

# Eight bytes at a time, but a piece ends behind a byte below 0x24, which might have been the target's end.
PIECE = re.compile(rb"[^\x00-\x23]{0,7}[\x00-\x23]|[^\x00-\x23]{8}")
ALL_BITS = (1 << 64) - 1


def target_hash(target: bytes) -> int:
    """Return the hash."""
    position, pieces = 0, []
    while found := PIECE.match(target, position):
        pieces.append(found[0])
        position = found.end()
    value = 0x9E3779B97F4A7C15
    # The last piece may be empty.
    for piece in [*pieces, target[position:]]:
        value = ((value ^ int.from_bytes(piece, "little")) * 0xD6E8FEB86659FD93) & ALL_BITS
        value ^= value >> 32
    return value >> 33
