"""Kernels that read Avro: locate each event and each header in a payload.

Source of the layout: the Avro 1.11 specification (binary encoding) and Flume's protocol, captured from Flume 1.9.0
and 1.11.0::

    payload = array<AvroFlumeEvent>
            = block* 00
    block   = +count event*count            (what Java writes: one block)
            | -count size event*count       (size: bytes of the events; checked here)
    event   = headers body
    headers = map<string>, in blocks of the same two forms, key and value are (length, UTF-8)
    body    = length bytes

    every count, size and length is a long: base 128, lowest group first, high bit = more follow, zig-zag signed

Refused here, although lenient readers accept it: a number of more than ten bytes or 64 bits, a negative length, a block
whose size does not match, anything after the last block. A number that takes more bytes than needed, but at most ten,
is legal Avro and accepted. Keys and values must be UTF-8 as Python's strict decoder defines it.

Every position is compared with the end of the data before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from avro_bridge.wire.kernels import error_codes
from headrace.common.kernels import BYTES, NUMBERS, TABLE, called, inlined, kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Numbers = NDArray[np.int64]

_NO_SIZE = -1


@inlined
def _read_long(data: Bytes, position: int, end: int) -> tuple[int, int]:
    """Return the number at ``position`` and the position after it, or a code and -1."""
    # A position is never negative. The check spares the compiler Python's rule for negative indexes at each access.
    if position < 0 or position >= end:
        return error_codes.TRUNCATED, -1
    # The mask turns numba's unsigned byte into a signed number.
    byte = int(data[position]) & 0xFF
    if byte < 0x80:
        return (byte >> 1) ^ -(byte & 1), position + 1
    bits = byte & 0x7F
    shift = 7
    position += 1
    while byte >= 0x80:
        if position >= end:
            return error_codes.TRUNCATED, -1
        byte = int(data[position]) & 0xFF
        # The tenth byte holds the last bit; a high bit there would announce an eleventh.
        if shift == 63 and byte > 1:
            return error_codes.OVERFLOW, -1
        bits |= (byte & 0x7F) << shift
        shift += 7
        position += 1
    # Zig-zag needs a shift that fills with zeros; that of a signed number copies the sign, which the mask removes.
    return ((bits >> 1) & 0x7FFFFFFFFFFFFFFF) ^ -(bits & 1), position


@inlined
def _read_span(data: Bytes, position: int, end: int) -> tuple[int, int]:
    """Return start and stop of the bytes whose length is at ``position``, or a code and -1."""
    length, start = _read_long(data, position, end)
    if start < 0:
        return length, -1
    if length < 0:
        return error_codes.NEGATIVE, -1
    if length > end - start:
        return error_codes.BEYOND_END, -1
    return start, start + length


@inlined
def _read_block(data: Bytes, position: int, end: int) -> tuple[int, int, int]:
    """Return a block's count, the position after its head, and where it must end (or -1); or a code, -1 and -1."""
    count, after = _read_long(data, position, end)
    if after < 0:
        return count, -1, -1
    block_end = _NO_SIZE
    if count < 0:
        size, after = _read_long(data, after, end)
        if after < 0:
            return size, -1, -1
        if size < 0:
            return error_codes.NEGATIVE, -1, -1
        if size > end - after:
            return error_codes.BEYOND_END, -1, -1
        block_end = after + size
        # The lowest number of 64 bits cannot be negated.
        if count < -0x7FFFFFFFFFFFFFFF:
            return error_codes.TOO_MANY_ANNOUNCED, -1, -1
        count = -count
    # An event and a header each take two bytes at least.
    if count > (end - after) // 2:
        return error_codes.TOO_MANY_ANNOUNCED, -1, -1
    return count, after, block_end


@called
def _lead_byte(lead: int) -> tuple[int, int, int]:
    """Return how many bytes follow this first byte of a character (0: it is none), and the range of the next one."""
    # The ranges are those of Unicode's table of well-formed UTF-8. The narrow ones leave out overlong forms (C0, C1,
    # E0, F0), surrogates (ED) and what lies above U+10FFFF (F4).
    if 0xC2 <= lead <= 0xDF:
        return 1, 0x80, 0xBF
    if 0xE0 <= lead <= 0xEF:
        return 2, 0xA0 if lead == 0xE0 else 0x80, 0x9F if lead == 0xED else 0xBF
    if 0xF0 <= lead <= 0xF4:
        return 3, 0x90 if lead == 0xF0 else 0x80, 0x8F if lead == 0xF4 else 0xBF
    return 0, 0, 0


@called
def _is_wide_utf8(data: Bytes, start: int, stop: int) -> bool:
    """Return whether the bytes are UTF-8: shortest form, no surrogates, nothing above U+10FFFF."""
    position = start
    while position < stop:
        lead = int(data[position]) & 0xFF
        position += 1
        if lead < 0x80:
            continue
        more, low, high = _lead_byte(lead)
        if more == 0 or more > stop - position or not low <= data[position] <= high:
            return False
        for ahead in range(1, more):
            if not 0x80 <= data[position + ahead] <= 0xBF:
                return False
        position += more
    return True


@inlined
def _is_utf8(data: Bytes, start: int, stop: int) -> bool:
    """Return whether the bytes are UTF-8. Nearly every header is ASCII, for which this loop is vectorised."""
    # Never true; as in ``_read_long`` it rules out negative indexes for the compiler.
    if start < 0:
        return False
    seen = np.uint8(0)
    for position in range(start, stop):
        seen |= data[position]
    return bool(seen < 0x80) or _is_wide_utf8(data, start, stop)


@inlined
def _walk_headers(data: Bytes, position: int, end: int, max_headers: int, rows: int) -> tuple[int, int]:
    """Return ``(OK, position after the map)``, or a code and the position of the error."""
    total = 0
    while True:
        at = position
        count, position, block_end = _read_block(data, at, end)
        if position < 0:
            return count, at
        if count == 0:
            return error_codes.OK, position
        total += count
        if total > max_headers:
            return error_codes.MAX_HEADERS, at
        for _ in range(2 * count):
            at = position
            start, position = _read_span(data, at, end)
            if position < 0:
                return start, at
            if rows == 0 and not _is_utf8(data, start, position):
                return error_codes.NOT_UTF8, start
        if block_end >= 0 and position != block_end:
            return error_codes.BLOCK_SIZE, position


@inlined
def _note(index: Numbers, row: int, header: int, header_end: int, body: int, stop: int) -> None:
    """Fill a row of the index, if it has that row."""
    if row < len(index):
        index[row, 0] = header
        index[row, 1] = header_end
        index[row, 2] = body
        index[row, 3] = stop - body


@kernel(f"UniTuple(int64, 3)({BYTES}, {TABLE}, {NUMBERS})")
def walk(data: Bytes, index: Numbers, limits: Numbers) -> tuple[int, int, int]:
    """Read a whole payload: either check everything, or locate each event.

    Args:
        data: an encoded array of events.
        index: no rows to check everything, also the headers' text; or one row of four for each event of a payload that
            has passed this check before, so that the text is not checked again.
        limits: max_events, max_header_bytes, max_headers.

    Returns:
        A code, the position of the error (or the end), the number of events read.
    """
    end = len(data)
    rows = len(index)
    count = 0
    position = 0
    while True:
        at = position
        block, position, block_end = _read_block(data, at, end)
        if position < 0:
            return block, at, count
        if block == 0:
            break
        if count + block > limits[0]:
            return error_codes.MAX_EVENTS, at, count
        if rows > 0 and count + block > rows:
            return error_codes.INDEX_MISMATCH, at, count
        for _ in range(block):
            at = position
            code, position = _walk_headers(data, at, end, limits[2], rows)
            if code != error_codes.OK:
                return code, position, count
            if position - at > limits[1]:
                return error_codes.MAX_HEADER_BYTES, at, count
            body, stop = _read_span(data, position, end)
            if stop < 0:
                return body, position, count
            _note(index, count, at, position, body, stop)
            position = stop
            count += 1
        if block_end >= 0 and position != block_end:
            return error_codes.BLOCK_SIZE, position, count
    if position != end:
        return error_codes.TRAILING, position, count
    return error_codes.OK, position, count


@inlined
def _next_header(data: Bytes, position: int, end: int, left: int) -> tuple[int, int, int, int, int]:
    """Return key start, key stop, value start, value stop, and how many entries are left in the block.

    ``position`` and ``left`` are those of the previous entry; for the first one the start of the map and 0. A key start
    of -1 means that the map has ended, -2 that the bytes are no headers.
    """
    if left == 0:
        left, position, _ = _read_block(data, position, end)
        if position < 0:
            return -2, 0, 0, 0, 0
        if left == 0:
            return -1, 0, 0, 0, 0
    key, key_stop = _read_span(data, position, end)
    if key_stop < 0:
        return -2, 0, 0, 0, 0
    value, stop = _read_span(data, key_stop, end)
    if stop < 0:
        return -2, 0, 0, 0, 0
    return key, key_stop, value, stop, left - 1


@called
def _place(data: Bytes, entries: Numbers, first: int, total: int, key: int, length: int) -> int:
    """Return the row among ``first`` to ``total`` that has this key already, or ``total``."""
    for row in range(first, total):
        if entries[row, 1] == length:
            earlier = entries[row, 0]
            ahead = 0
            while ahead < length and data[earlier + ahead] == data[key + ahead]:
                ahead += 1
            if ahead == length:
                return row
    return total


@kernel(f"int64({BYTES}, {TABLE}, {NUMBERS}, {TABLE})")
def list_headers(data: Bytes, index: Numbers, offsets: Numbers, entries: Numbers) -> int:
    """Locate the key and the value of each header; a repeated key once, with its last value, as in a Python dict.

    Args:
        data: the payload that ``index`` was made from.
        index: rows of four, one for each event wanted.
        offsets: filled: where each event's headers start in ``entries``; one longer than ``index``.
        entries: no rows to only count the headers, repeated keys included; else filled with key start, key length,
            value start, value length.

    Returns:
        The number of entries, or the negative of a code.
    """
    total = 0
    for row in range(len(index)):
        offsets[row] = total
        position = index[row, 0]
        end = index[row, 1]
        if position < 0 or end > len(data):
            return -error_codes.INDEX_MISMATCH
        left = 0
        while True:
            key, key_stop, value, position, left = _next_header(data, position, end, left)
            if key < 0:
                break
            place = total
            if len(entries) > 0:
                place = _place(data, entries, offsets[row], total, key, key_stop - key)
                entries[place, 0] = key
                entries[place, 1] = key_stop - key
                entries[place, 2] = value
                entries[place, 3] = position - value
            if place == total:
                total += 1
        if key == -2:
            return -error_codes.INDEX_MISMATCH
    offsets[len(index)] = total
    return total


@inlined
def _same(data: Bytes, position: int, key: Bytes) -> bool:
    """Return whether ``key`` is at ``position``. The caller has checked that it fits."""
    ahead = 0
    while ahead < len(key) and data[position + ahead] == key[ahead]:
        ahead += 1
    return ahead == len(key)


@kernel(f"int64({BYTES}, {TABLE}, {BYTES}, {TABLE})")
def find_header(data: Bytes, index: Numbers, key: Bytes, spans: Numbers) -> int:
    """Locate the value of one header in each event: start and length, or twice -1 where an event lacks it.

    Args:
        data: the payload that ``index`` was made from.
        index: rows of four, one for each event wanted.
        key: the header's name.
        spans: filled: two numbers for each row of ``index``; for a repeated key, those of the last value.

    Returns:
        OK, or the negative of a code.
    """
    for row in range(len(index)):
        spans[row, 0] = spans[row, 1] = -1
        position = index[row, 0]
        end = index[row, 1]
        if position < 0 or end > len(data):
            return -error_codes.INDEX_MISMATCH
        left = 0
        while True:
            name, name_stop, value, position, left = _next_header(data, position, end, left)
            if name < 0:
                break
            if name_stop - name == len(key) and _same(data, name, key):
                spans[row, 0] = value
                spans[row, 1] = position - value
        if name == -2:
            return -error_codes.INDEX_MISMATCH
    return error_codes.OK
