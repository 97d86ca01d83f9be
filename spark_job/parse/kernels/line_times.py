"""The kernel that reads the first parts of access-log lines, up to the time and the quote behind it.

:mod:`.scan` has the form of a line and reads the rest. These are two files and two kernels, since a kernel calls only
functions of the file it is in, and so some small ones stand in both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from headrace.common.kernels import BYTES, OFFSETS, TABLE, inlined, kernel
from spark_job.parse.kernels.loads import LOADS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Loads = NDArray[np.uint64]
    Offsets = NDArray[np.int32]
    Table = NDArray[np.int64]

WITH_SERVER: Final = 1

TIME_US: Final = 0
REQUEST_START: Final = 1
STOP: Final = 2

NOT_TAKEN: Final = -(2**62)
"""Stands in place of a line's time: the kernel did not take the line, which has another form."""

_QUOTE, _BACKSLASH, _BLANK, _RETURN = 0x22, 0x5C, 0x20, 0x0D
_COLON, _SLASH, _DASH, _PLUS, _OPEN, _CLOSE = 0x3A, 0x2F, 0x2D, 0x2B, 0x5B, 0x5D
_ZERO, _NINE = 0x30, 0x39
_ONES, _HIGH_BITS = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
_QUOTES, _BACKSLASHES = np.uint64(0x2222222222222222), np.uint64(0x5C5C5C5C5C5C5C5C)
_BLANKS = np.uint64(0x2020202020202020)
_ONE, _TO_LOWEST_BIT, _TO_COUNT = np.uint64(1), np.uint64(7), np.uint64(56)
_NOBODY, _FIRST_5_BYTES = np.uint64(int.from_bytes(b"- - [", "little")), np.uint64(0xFFFFFFFFFF)
_MONTHS = tuple(int.from_bytes(name, "big") for name in b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split())
_DAYS_BEFORE_MONTH = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365)
_FIRST_YEAR, _LAST_YEAR, _DAYS_TO_1970 = 1900, 2999, 719_163
_TIME_LENGTH, _SECOND_US, _NO_DIGITS = 26, 1_000_000, -10_000
_SECOND_PLACE, _ZONE_PLACE, _LAST_SECOND = 18, 20, 60
_MAX_PORT_DIGITS = 18


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
def _word_end(data: Bytes, loads: Loads, position: int, stop: int) -> int:
    """The position after the word that starts here and the blank after it, or -1."""
    start = position
    while stop - position >= 8:
        mark = _zeros(loads[position] ^ _BLANKS) | _ends(loads[position])
        if mark:
            position += _lowest(mark)
            break
        position += 8
    while position < stop and data[position] != _BLANK:
        if data[position] == _QUOTE or data[position] == _BACKSLASH:
            return -1
        position += 1
    return position + 1 if start < position < stop else -1


@inlined
def _server_end(data: Bytes, loads: Loads, position: int, stop: int) -> int:
    """The position after a server, its port and the blank after it, or -1."""
    after = _word_end(data, loads, position, stop)
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
        or not 0 <= second <= _LAST_SECOND
        or not 0 <= hours_ahead <= 23
        or not 0 <= minutes_ahead <= 59
    ):
        return NOT_TAKEN
    ahead = hours_ahead * 60 + minutes_ahead
    minutes = (days * 24 + hour) * 60 + minute - (ahead if sign == _PLUS else -ahead)
    return (minutes * 60 + second) * _SECOND_US


@inlined
def _same_minute(loads: Loads, one: int, other: int) -> bool:
    """Whether two times, each with a bracket and a blank behind it, differ in their seconds at most."""
    return bool(
        loads[one] == loads[other]
        and loads[one + 8] == loads[other + 8]
        and loads[one + _SECOND_PLACE - 8] == loads[other + _SECOND_PLACE - 8]
        and loads[one + _ZONE_PLACE] == loads[other + _ZONE_PLACE]
    )


@inlined
def _time_start(data: Bytes, loads: Loads, position: int, stop: int, form: int) -> int:
    """The position of the first byte of the time, or -1 if the bytes before or after the time have another form."""
    if form & WITH_SERVER:
        position = _server_end(data, loads, position, stop)
    if position >= 0:
        position = _word_end(data, loads, position, stop)
    # Nearly all lines go on so, and have more than eight bytes from here on.
    if position >= 0 and stop - position >= 8 and loads[position] & _FIRST_5_BYTES == _NOBODY:
        position += 4
    else:
        for _ in range(2):
            if position >= 0:
                position = _word_end(data, loads, position, stop)
    # At least a bracket, a blank and a quote must follow the time, so these reads stay inside the line.
    if position < 0 or stop - position < _TIME_LENGTH + 4 or data[position] != _OPEN:
        return -1
    behind = position + 1 + _TIME_LENGTH
    if data[behind] != _CLOSE or data[behind + 1] != _BLANK or data[behind + 2] != _QUOTE:
        return -1
    return position + 1


@kernel(f"void({BYTES}, {LOADS}, {OFFSETS}, {OFFSETS}, int64, {TABLE})")
def find_times(data: Bytes, loads: Loads, starts: Offsets, stops: Offsets, form: int, found: Table) -> None:
    """Find the times of lines.

    Args:
        data: the lines, one after the other, with anything between them.
        loads: ``data`` by eights, see :mod:`.loads`.
        starts: where each line starts.
        stops: where each line ends.
        form: as in :func:`.scan.scan`.
        found: in the row of each line set to microseconds since 1970 or :data:`NOT_TAKEN`, to the position behind the
            quote of the request, and to the end of the line without carriage returns.
    """
    behind = 0
    known = -1
    minute_us = NOT_TAKEN
    for line in range(len(starts)):
        found[line, TIME_US] = NOT_TAKEN
        start, stop = int(starts[line]), int(stops[line])
        # Offsets come over the network, and numba checks no bounds: no offset may point outside the data, and no two
        # lines may share bytes.
        if start < behind or stop < start or stop > len(data):
            continue
        behind = stop
        while stop > start and data[stop - 1] == _RETURN:
            stop -= 1
        time = _time_start(data, loads, start, stop, form)
        if time < 0:
            continue
        # Many lines of a log have the minute of the line before: compare the texts, and read no more than the second.
        second = _two(data, time + _SECOND_PLACE)
        if known >= 0 and 0 <= second <= _LAST_SECOND and _same_minute(loads, known, time):
            time_us = minute_us + second * _SECOND_US
        else:
            time_us = _time_us(data, time)
            if time_us == NOT_TAKEN:
                continue
            known = time
            minute_us = time_us - second * _SECOND_US
        found[line, TIME_US] = time_us
        found[line, REQUEST_START] = time + _TIME_LENGTH + 3
        found[line, STOP] = stop
