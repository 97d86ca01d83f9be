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
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from headrace.common.kernels import BYTES, OFFSETS, TABLE, WORDS, inlined, kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Words = NDArray[np.uint64]
    Offsets = NDArray[np.int32]
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

_QUOTE, _BACKSLASH, _BLANK, _NUMBER_SIGN, _RETURN = 0x22, 0x5C, 0x20, 0x23, 0x0D
_COLON, _SLASH, _DASH, _PLUS, _POINT, _OPEN, _CLOSE = 0x3A, 0x2F, 0x2D, 0x2B, 0x2E, 0x5B, 0x5D
_ZERO, _NINE, _A, _Z, _LAST_ASCII = 0x30, 0x39, 0x41, 0x5A, 0x7F
_QUOTES, _BACKSLASHES = np.uint64(0x2222222222222222), np.uint64(0x5C5C5C5C5C5C5C5C)
_LOW_BITS, _ALL_BITS = np.uint64(0x7F7F7F7F7F7F7F7F), np.uint64(0xFFFFFFFFFFFFFFFF)
_H, _T, _P = 0x48, 0x54, 0x50
_MONTHS = tuple(int.from_bytes(name, "big") for name in b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split())
_DAYS_BEFORE_MONTH = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365)
_FIRST_YEAR, _LAST_YEAR, _DAYS_TO_1970 = 1900, 2999, 719_163
_TIME_LENGTH, _SECOND_US, _NO_DIGITS = 26, 1_000_000, -10_000
_MAX_DIGITS, _MAX_PORT_DIGITS, _STATUS_DIGITS = 15, 18, 3
# FNV-1a with 32 bits: its products fit into a signed integer of 64 bits.
_FNV_BASIS, _FNV_PRIME, _LOWER_32_BITS = 0x811C9DC5, 0x01000193, 0xFFFFFFFF


@inlined
def _byte(data: Bytes, position: int) -> int:
    # The mask makes numba treat the unsigned byte as a signed integer; mixing both would give floats.
    return int(data[position]) & 0xFF


@inlined
def _word_end(data: Bytes, position: int, stop: int) -> int:
    """The position after the word that starts here and the blank after it, or -1."""
    start = position
    while position < stop and data[position] != _BLANK:
        if data[position] == _QUOTE or data[position] == _BACKSLASH:
            return -1
        position += 1
    return position + 1 if start < position < stop else -1


@inlined
def _server_end(data: Bytes, position: int, stop: int) -> int:
    """The position after a server, its port and the blank after it, or -1."""
    after = _word_end(data, position, stop)
    colon = after - 2
    while colon > position and _ZERO <= data[colon] <= _NINE:
        colon -= 1
    digits = after - 2 - colon
    return after if colon > position and data[colon] == _COLON and 1 <= digits <= _MAX_PORT_DIGITS else -1


@inlined
def _two(data: Bytes, position: int) -> int:
    """The number of two digits; far below zero if one of them is no digit, so that any sum with it stays below zero."""
    high, low = _byte(data, position) - _ZERO, _byte(data, position + 1) - _ZERO
    return high * 10 + low if 0 <= high <= 9 and 0 <= low <= 9 else _NO_DIGITS


@inlined
def _days(data: Bytes, position: int) -> int:
    """Days from 1970 to a date as in ``17/May/2015``, or :data:`NOT_TAKEN`."""
    name = (_byte(data, position + 3) << 16) | (_byte(data, position + 4) << 8) | _byte(data, position + 5)
    month = 0
    while month < 12 and _MONTHS[month] != name:
        month += 1
    day = _two(data, position)
    year = _two(data, position + 7) * 100 + _two(data, position + 9)
    if month == 12 or not _FIRST_YEAR <= year <= _LAST_YEAR:
        return NOT_TAKEN
    leap_day = 1 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 0
    length = _DAYS_BEFORE_MONTH[month + 1] - _DAYS_BEFORE_MONTH[month] + (leap_day if month == 1 else 0)
    if not 1 <= day <= length or data[position + 2] != _SLASH or data[position + 6] != _SLASH:
        return NOT_TAKEN
    before = year - 1
    # The days of all years before this one; 719,163 is 1 January 1970 as Python's ``date.toordinal`` counts.
    days = before * 365 + before // 4 - before // 100 + before // 400 - _DAYS_TO_1970
    return days + _DAYS_BEFORE_MONTH[month] + (leap_day if month > 1 else 0) + day


@inlined
def _time_us(data: Bytes, position: int) -> int:
    """The time of ``17/May/2015:10:05:03 +0200`` in microseconds since 1970, or :data:`NOT_TAKEN`."""
    days = _days(data, position)
    hour, minute, second = _two(data, position + 12), _two(data, position + 15), _two(data, position + 18)
    hours_ahead, minutes_ahead = _two(data, position + 22), _two(data, position + 24)
    sign = data[position + 21]
    if (
        days == NOT_TAKEN
        or data[position + 11] != _COLON
        or data[position + 14] != _COLON
        or data[position + 17] != _COLON
        or data[position + 20] != _BLANK
        or sign not in (_PLUS, _DASH)
        or not 0 <= hour <= 23
        or not 0 <= minute <= 59
        # A leap second counts as the first second of the next minute, as in parse/times.py.
        or not 0 <= second <= 60
        or not 0 <= hours_ahead <= 23
        or not 0 <= minutes_ahead <= 59
    ):
        return NOT_TAKEN
    ahead = hours_ahead * 60 + minutes_ahead
    minutes = (days * 24 + hour) * 60 + minute - (ahead if sign == _PLUS else -ahead)
    return (minutes * 60 + second) * _SECOND_US


@inlined
def _protocol_end(data: Bytes, position: int, stop: int) -> int:
    """The position after ``HTTP/1.1`` or ``HTTP/2`` and the quote after it, or -1."""
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
def _target(data: Bytes, position: int, stop: int, query: int) -> tuple[int, int, int, int]:
    """Start, end and hash of the target of the request that starts here, and the position after the request's quote.

    The target ends before the byte ``query`` and before a number sign. The position is -1 if this is no such request.
    """
    start = position
    while position < stop and _A <= data[position] <= _Z:
        position += 1
    if position == start or position >= stop or data[position] != _BLANK:
        return 0, 0, 0, -1
    start = position + 1
    position = start
    value = _FNV_BASIS
    seen = 0
    while position < stop:
        byte = _byte(data, position)
        if byte in (_BLANK, query, _NUMBER_SIGN, _QUOTE, _BACKSLASH):
            break
        seen |= byte
        value = ((value ^ byte) * _FNV_PRIME) & _LOWER_32_BITS
        position += 1
    end = position
    while position < stop and data[position] != _BLANK and data[position] != _QUOTE and data[position] != _BACKSLASH:
        position += 1
    # Only the parser decides what becomes of bytes beyond ASCII.
    if position == start or position >= stop or data[position] != _BLANK or seen > _LAST_ASCII:
        return 0, 0, 0, -1
    return start, end, value, _protocol_end(data, position + 1, stop)


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
def _has_neither(word: np.uint64) -> bool:
    """Whether none of eight bytes is a quote or a backslash."""
    quote, backslash = word ^ _QUOTES, word ^ _BACKSLASHES
    # Adding 0x7F to the lower 7 bits of a byte sets its high bit unless they are 0, and carries into no other byte. So,
    # with the high bit of the byte itself, each high bit is set unless the byte is 0, that is, the wanted character.
    present = (((quote & _LOW_BITS) + _LOW_BITS) | quote) & (((backslash & _LOW_BITS) + _LOW_BITS) | backslash)
    return bool(present | _LOW_BITS == _ALL_BITS)


@inlined
def _quoted_end(data: Bytes, words: Words, position: int, stop: int) -> int:
    """The position after the quoted text that starts with a blank and a quote here, or -1."""
    if stop - position < 3 or data[position] != _BLANK or data[position + 1] != _QUOTE:
        return -1
    position += 2
    # Byte by byte up to a position that is a multiple of 8, then by words of 8 bytes, then the rest by bytes: user
    # agents are most of a line's length.
    while position < stop and position & 7 and data[position] != _QUOTE and data[position] != _BACKSLASH:
        position += 1
    if position & 7 == 0:
        while stop - position >= 8 and _has_neither(words[position >> 3]):
            position += 8
    while position < stop and data[position] != _QUOTE and data[position] != _BACKSLASH:
        position += 1
    return position + 1 if position < stop and data[position] == _QUOTE else -1


@inlined
def _answer(data: Bytes, words: Words, position: int, stop: int, form: int) -> tuple[int, int]:
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
        position = _quoted_end(data, words, position, stop)
        if position >= 0:
            position = _quoted_end(data, words, position, stop)
    if position < 0 or (position < stop and not (form & MAY_GO_ON and data[position] == _BLANK)):
        return 0, -1
    return status, size


@inlined
def _time_start(data: Bytes, position: int, stop: int, form: int) -> int:
    """The position of the first byte of the time, or -1 if the bytes before or after the time have another form."""
    if form & WITH_SERVER:
        position = _server_end(data, position, stop)
    for _ in range(3):
        if position >= 0:
            position = _word_end(data, position, stop)
    # At least a bracket, a blank and a quote must follow the time, so these reads stay inside the line.
    if position < 0 or stop - position < _TIME_LENGTH + 4 or data[position] != _OPEN:
        return -1
    behind = position + 1 + _TIME_LENGTH
    if data[behind] != _CLOSE or data[behind + 1] != _BLANK or data[behind + 2] != _QUOTE:
        return -1
    return position + 1


@kernel(f"void({BYTES}, {WORDS}, {OFFSETS}, int64, int64, int64, {TABLE})")
def scan(
    data: Bytes, words: Words, offsets: Offsets, form: int, query: int, first_error_status: int, found: Table
) -> None:
    """Find the parts of lines.

    Args:
        data: the lines, one after the other.
        words: ``data`` as words of eight bytes, without the bytes left over at the end.
        offsets: where each line starts, and where the last one ends.
        form: sum of :data:`WITH_SERVER`, :data:`WITH_HEADERS` and :data:`MAY_GO_ON`.
        query: the byte that starts a target's query, if the query is to be cut off; otherwise the number sign.
        first_error_status: this status and every higher one is an error.
        found: filled with a row for each line: microseconds since 1970 or :data:`NOT_TAKEN`; start, end and hash of the
            target without its fragment; size of the answer; whether its status is an error.
    """
    behind = 0
    known = -1
    known_us = NOT_TAKEN
    for line in range(len(offsets) - 1):
        found[line, TIME_US] = NOT_TAKEN
        start, stop = int(offsets[line]), int(offsets[line + 1])
        # Offsets come over the network, and numba checks no bounds: no offset may point outside the data, and no two
        # lines may share bytes.
        if start < behind or stop < start or stop > len(data):
            continue
        behind = stop
        while stop > start and data[stop - 1] == _RETURN:
            stop -= 1
        time = _time_start(data, start, stop, form)
        if time < 0:
            continue
        # Many lines of a log have the time of the line before: compare the texts, and read the time only if it changed.
        same = 0
        while known >= 0 and same < _TIME_LENGTH and data[known + same] == data[time + same]:
            same += 1
        if same < _TIME_LENGTH:
            known = time
            known_us = _time_us(data, time)
        target, end, value, position = _target(data, time + _TIME_LENGTH + 3, stop, query)
        if position < 0:
            continue
        status, size = _answer(data, words, position, stop, form)
        if size < 0:
            continue
        found[line, TIME_US] = known_us
        found[line, TARGET_START] = target
        found[line, TARGET_END] = end
        found[line, TARGET_HASH] = value
        found[line, SIZE] = size
        found[line, IS_ERROR] = 1 if status >= first_error_status else 0
