"""The kernel that finds the parts of access-log lines that a roll-up needs, without making a string per line.

It takes the lines that are written as nearly all lines are. It leaves the others to :mod:`spark_job.parse.parser`,
which alone defines what a line means. A line that the kernel takes has this form, which can be read in one way only::

    vhost:80 ::1 - frank [17/May/2015:10:05:03 +0200] "GET /a?b=c HTTP/1.1" 200 5 "http://x/" "curl/8" more
    |--(1)--|---- words ----|---------- time ---------| |------ request -----| |(2)-|------- (3) -------|(4)|

===========  ========================================================================================================
part         allowed content
===========  ========================================================================================================
(1)          only with :data:`WITH_SERVER`: a word that ends in a colon and 1 to 18 digits
word         at least one byte, none of them a blank, a quote or a backslash
time         exactly as above, and a date that exists
request      capitals, blank, target, blank, ``HTTP/`` and a digit, optionally a point and a digit
target       ASCII, no blank, no quote, no backslash
(2)          three digits or ``-``, blank, 1 to 15 digits or ``-``
(3)          only with :data:`WITH_HEADERS`: two texts in quotes without a quote or a backslash
(4)          only with :data:`MAY_GO_ON`: a blank and anything
===========  ========================================================================================================

Carriage returns at the end are ignored. A line without a backslash needs no unescaping, and bytes that are not UTF-8
cannot move a part, since such a byte never swallows the ASCII byte after it.

Most bytes are read by eights: ``loads[n]`` is the number that the eight bytes from ``n`` on make, the first byte being
the lowest. A search in such a word yields a *mark*: a word with the high bit of each wanted byte set. Only its lowest
mark is exact, since the subtraction in it may carry into the bytes above.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from headrace.common.kernels import BYTES, TABLE, inlined, kernel
from spark_job.parse.kernels.loads import LOADS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Loads = NDArray[np.uint64]
    Table = NDArray[np.int64]

WITH_SERVER: Final = 1
WITH_HEADERS: Final = 2
MAY_GO_ON: Final = 4

TIME_US: Final = 0
TARGET_START: Final = 1
TARGET_END: Final = 2
TARGET_HASH: Final = 3
SIZE: Final = 4
IS_ERROR: Final = 5
FOUND_COLUMNS: Final = 6

NOT_TAKEN: Final = -(2**62)
"""Stands in place of a line's time: the kernel did not take the line, which has another form."""

_QUOTE, _BACKSLASH, _BLANK, _NUMBER_SIGN = 0x22, 0x5C, 0x20, 0x23
_SLASH, _DASH, _POINT = 0x2F, 0x2D, 0x2E
_ZERO, _NINE, _A, _Z = 0x30, 0x39, 0x41, 0x5A
_ONES, _HIGH_BITS = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
_QUOTES, _BACKSLASHES = np.uint64(0x2222222222222222), np.uint64(0x5C5C5C5C5C5C5C5C)
_BLANKS, _BEHIND_NUMBER_SIGNS = np.uint64(0x2020202020202020), np.uint64(0x2424242424242424)
_ONE, _TO_LOWEST_BIT, _TO_COUNT = np.uint64(1), np.uint64(7), np.uint64(56)
_HTTP_1_1 = np.uint64(int.from_bytes(b"HTTP/1.1", "little"))
_H, _T, _P = 0x48, 0x54, 0x50
_MAX_DIGITS, _STATUS_DIGITS = 15, 3
_HASH_START, _HASH_FACTOR = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
_HASH_FOLD, _HASH_CUT = np.uint64(32), np.uint64(33)


@inlined
def _byte(data: Bytes, position: int) -> int:
    # The mask makes numba treat the unsigned byte as a signed integer; mixing both would give floats.
    return int(data[position]) & 0xFF


@inlined
def _zeros(word: np.uint64) -> np.uint64:
    """A mark of the bytes that are zero."""
    return (word - _ONES) & ~word & _HIGH_BITS


@inlined
def _lowest(mark: np.uint64) -> int:
    """The number of bytes before the lowest marked one."""
    bit = mark >> _TO_LOWEST_BIT
    # Below the lowest bit all are ones now: add up one of each byte.
    return int(np.int64((((bit - _ONE) & ~bit & _ONES) * _ONES) >> _TO_COUNT))


@inlined
def _ends(word: np.uint64) -> np.uint64:
    """A mark of what ends a quoted text without an escape: quotes and backslashes."""
    return _zeros(word ^ _QUOTES) | _zeros(word ^ _BACKSLASHES)


@inlined
def _protocol_end(data: Bytes, loads: Loads, position: int, stop: int) -> int:
    """The position after ``HTTP/1.1`` or ``HTTP/2`` and the quote after it, or -1."""
    if stop - position > 8 and loads[position] == _HTTP_1_1 and data[position + 8] == _QUOTE:
        return position + 9
    if (
        stop - position < 7
        or data[position] != _H
        or data[position + 1] != _T
        or data[position + 2] != _T
        or data[position + 3] != _P
        or data[position + 4] != _SLASH
        or not _ZERO <= data[position + 5] <= _NINE
    ):
        return -1
    position += 6
    if data[position] == _POINT and stop - position > 2 and _ZERO <= data[position + 1] <= _NINE:
        position += 2
    return position + 1 if data[position] == _QUOTE else -1


@inlined
def _target(
    data: Bytes, loads: Loads, position: int, stop: int, query: int, queries: np.uint64
) -> tuple[int, int, int, int]:
    """Start, end and hash of the target of the request that starts here, and the position after the request's quote.

    The target ends before the byte ``query``, of which ``queries`` is full, and before a number sign. The position is
    -1 if this is no such request.
    """
    start = position
    while position < stop and _A <= data[position] <= _Z:
        position += 1
    if position == start or position >= stop or data[position] != _BLANK:
        return 0, 0, 0, -1
    start = position + 1
    position = start
    value = _HASH_START
    while True:
        # A line that is taken has eight bytes behind its target, ` HTTP/1"` at least.
        if stop - position < 8:
            return 0, 0, 0, -1
        word = loads[position]
        # Bytes below 0x24, which are blank, exclamation mark, quote, number sign and controls, and the other two ends.
        mark = (word - _BEHIND_NUMBER_SIGNS) & ~word & _HIGH_BITS
        mark |= _zeros(word ^ _BACKSLASHES) | _zeros(word ^ queries)
        count = 8
        if mark:
            count = _lowest(mark)
            byte = _byte(data, position + count)
            ended = byte in (_BLANK, query, _NUMBER_SIGN, _QUOTE, _BACKSLASH)
            if not ended:
                count += 1
            word = word & ((_ONE << np.uint64(8 * count)) - _ONE) if count < 8 else word
        # Only the parser decides what becomes of bytes beyond ASCII.
        if word & _HIGH_BITS:
            return 0, 0, 0, -1
        value = (value ^ word) * _HASH_FACTOR
        value ^= value >> _HASH_FOLD
        position += count
        if mark and ended:
            break
    end = position
    while stop - position >= 8:
        mark = _zeros(loads[position] ^ _BLANKS) | _ends(loads[position])
        if mark:
            position += _lowest(mark)
            break
        position += 8
    if position == start or stop - position < 8 or data[position] != _BLANK:
        return 0, 0, 0, -1
    return start, end, int(np.int64(value >> _HASH_CUT)), _protocol_end(data, loads, position + 1, stop)


@inlined
def _number(data: Bytes, position: int, stop: int) -> tuple[int, int]:
    """The number of up to 15 digits that starts here, or 0 for a dash, and the position after it; -1 and -1 if none."""
    if position < stop and data[position] == _DASH:
        return 0, position + 1
    start = position
    number = 0
    while position < stop and position - start < _MAX_DIGITS and _ZERO <= data[position] <= _NINE:
        number = number * 10 + (_byte(data, position) - _ZERO)
        position += 1
    return (number, position) if position > start else (-1, -1)


@inlined
def _quoted_end(data: Bytes, loads: Loads, position: int, stop: int) -> int:
    """The position after the quoted text that starts with a blank and a quote here, or -1."""
    if stop - position < 3 or data[position] != _BLANK or data[position + 1] != _QUOTE:
        return -1
    position += 2
    while stop - position >= 8:
        mark = _ends(loads[position])
        if mark:
            position += _lowest(mark)
            break
        position += 8
    while position < stop and data[position] != _QUOTE and data[position] != _BACKSLASH:
        position += 1
    return position + 1 if position < stop and data[position] == _QUOTE else -1


@inlined
def _answer(data: Bytes, loads: Loads, position: int, stop: int, form: int) -> tuple[int, int]:
    """Status and size, given the position after the request; the size is -1 if the rest has another form."""
    if stop - position < 4 or data[position] != _BLANK:
        return 0, -1
    start = position + 1
    status, position = _number(data, start, stop)
    dash = data[start] == _DASH
    if position < 0 or not (dash or position - start == _STATUS_DIGITS) or position >= stop or data[position] != _BLANK:
        return 0, -1
    size, position = _number(data, position + 1, stop)
    if form & WITH_HEADERS and position >= 0:
        position = _quoted_end(data, loads, position, stop)
        if position >= 0:
            position = _quoted_end(data, loads, position, stop)
    if position < 0 or (position < stop and not (form & MAY_GO_ON and data[position] == _BLANK)):
        return 0, -1
    return status, size


@kernel(f"void({BYTES}, {LOADS}, int64, int64, int64, {TABLE})")
def scan(data: Bytes, loads: Loads, form: int, query: int, first_error_status: int, found: Table) -> None:
    """Find the parts of lines behind their times.

    Args:
        data: the bytes that ``found`` points into.
        loads: ``data`` by eights, see :mod:`.loads`.
        form: sum of :data:`WITH_SERVER`, :data:`WITH_HEADERS` and :data:`MAY_GO_ON`.
        query: the byte that starts a target's query, if the query is to be cut off; otherwise the number sign.
        first_error_status: this status and every higher one is an error.
        found: the result of :func:`.line_times.find_times`. In the end a row has: microseconds since 1970 or
            :data:`NOT_TAKEN`; start, end and hash of the target without its fragment; size of the answer; whether its
            status is an error.
    """
    queries = _ONES * np.uint64(query)
    for line in range(len(found)):
        if found[line, TIME_US] == NOT_TAKEN:
            continue
        stop = found[line, TARGET_END]
        start, end, value, position = _target(data, loads, found[line, TARGET_START], stop, query, queries)
        size = -1
        if position >= 0:
            status, size = _answer(data, loads, position, stop, form)
        if size < 0:
            found[line, TIME_US] = NOT_TAKEN
            continue
        found[line, TARGET_START] = start
        found[line, TARGET_END] = end
        found[line, TARGET_HASH] = value
        found[line, SIZE] = size
        found[line, IS_ERROR] = 1 if status >= first_error_status else 0
