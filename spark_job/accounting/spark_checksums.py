"""Compares the files of Spark's checkpoint with their checksums, which Hadoop's local file system writes beside them.

::

    state/0/1/7.delta         the file
    state/0/1/.7.delta.crc    "crc", 0, the length of a block in four bytes, then the CRC-32 of each block in four bytes

A power cut leaves files that nobody synced empty, short or without their neighbour; Spark finds that out late, and says
it in many ways.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAGIC = b"crc\0"
HEADER = struct.Struct(">4sI")
SUM = struct.Struct(">I")


def is_intact(path: Path) -> bool:
    """Say whether a file has the content that its checksums are of; a file without checksums is taken as it is."""
    try:
        sums = _sums_of(path).read_bytes()
    except FileNotFoundError:
        return path.exists()
    try:
        magic, block_bytes = HEADER.unpack_from(sums)
        if magic != MAGIC or not block_bytes:
            return False
        known = [each for (each,) in SUM.iter_unpack(sums[HEADER.size :])]
        with path.open("rb") as file:
            found = [zlib.crc32(block) for block in iter(lambda: file.read(block_bytes), b"")]
    except (FileNotFoundError, struct.error):
        return False
    return known == found


def files_with_sums(folder: Path) -> Iterator[Path]:
    """Yield each file below a folder once, also one of which only the checksums are left."""
    found = set()
    for path in folder.rglob("*"):
        if path.is_file():
            is_sums = path.name.startswith(".") and path.name.endswith(".crc")
            found.add(path.with_name(path.name[1:].removesuffix(".crc")) if is_sums else path)
    yield from sorted(found)


def _sums_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.crc")
