"""Avro primitives: encodes and decodes the small parts of a message; the kernels read the events.

Source: the Avro 1.11 specification, binary encoding::

    long    base 128, lowest group first, high bit = more follow, zig-zag signed (0, -1, 1 -> 00, 01, 02)
    bytes   long length | bytes            string: the same, UTF-8
    map     blocks of (long count | entries), or (long -count | long size | entries), ended by a count of 0
    fixed   the bytes
    union   long branch | value            enum: long position
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from avro_bridge.errors import ProtocolError

_LONG_MAX = 2**63 - 1


def encode_long(value: int) -> bytes:
    """Encode a signed number of at most 64 bits."""
    bits = (value << 1) ^ (value >> 63)
    encoded = bytearray()
    while bits >= 0x80:
        encoded.append(bits & 0x7F | 0x80)
        bits >>= 7
    encoded.append(bits)
    return bytes(encoded)


def encode_bytes(value: bytes) -> bytes:
    """Encode bytes with their length in front."""
    return encode_long(len(value)) + value


def encode_string(value: str) -> bytes:
    """Encode text as UTF-8 with its length in front."""
    return encode_bytes(value.encode())


class PrefixReader:
    """Reads one primitive after the other from a message.

    Checks every length against its limit and against the end of the message before using it.

    Args:
        message: where to read.
        position: where to start.
        error: the class to raise when the bytes are malformed.
    """

    def __init__(self, message: bytes | bytearray, position: int, error: type[ProtocolError]) -> None:
        self._message = message
        self.position = position
        self._error = error

    def fail(self, text: str) -> ProtocolError:
        """Return an error of this reader's class that names the position."""
        return self._error(f"{text}, at byte {self.position} of the message")

    def read_long(self) -> int:
        """Read a signed number of at most 64 bits in at most ten bytes."""
        bits = 0
        for shift in range(0, 70, 7):
            if self.position >= len(self._message):
                raise self.fail("the message ends in the middle of a number")
            byte = self._message[self.position]
            self.position += 1
            bits |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
        if byte >= 0x80 or bits >> 64:
            raise self.fail("a number takes more than 64 bits")
        return (bits >> 1) ^ -(bits & 1)

    def read_fixed(self, size: int) -> bytes:
        """Read the next ``size`` bytes."""
        if size > len(self._message) - self.position:
            raise self.fail("a value reaches beyond the end of the message")
        start = self.position
        self.position += size
        return bytes(self._message[start : self.position])

    def read_bytes(self, max_bytes: int, what: str) -> bytes:
        """Read bytes with their length in front; ``what`` names them in an error."""
        size = self.read_long()
        if not 0 <= size <= max_bytes:
            raise self.fail(f"{what} announces {size} bytes where 0 to {max_bytes} are allowed")
        return self.read_fixed(size)

    def read_string(self, max_bytes: int, what: str) -> str:
        """Read a text of at most ``max_bytes`` encoded bytes."""
        encoded = self.read_bytes(max_bytes, what)
        try:
            return encoded.decode()
        except UnicodeDecodeError:
            raise self.fail(f"{what} is not UTF-8") from None

    def read_branch(self, branches: int) -> int:
        """Read which branch of a union follows."""
        branch = self.read_long()
        if not 0 <= branch < branches:
            raise self.fail(f"a union has branches 0 to {branches - 1}, not {branch}")
        return branch

    def skip_metadata(self, max_bytes: int) -> None:
        """Skip a ``map<bytes>`` of at most ``max_bytes``, which this server does not use."""
        end = self.position + max_bytes
        while count := self.read_long():
            if count < 0:
                # The lowest number of 64 bits is refused as in the kernels, which cannot negate it.
                if count < -_LONG_MAX or self.read_long() < 0:
                    raise self.fail("a metadata block has an impossible size")
                count = -count
            for _ in range(2 * count):
                if self.position >= end:
                    raise self.fail(f"metadata takes more than {max_bytes} bytes")
                self.read_bytes(end - self.position, "metadata")
