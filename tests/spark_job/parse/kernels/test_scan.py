"""The scan kernel alone: each column of its result, and the lines that it leaves."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given

from spark_job.parse.kernels import scan
from tests.support.access_lines import apache_time, combined, moments

if TYPE_CHECKING:
    from datetime import datetime

FORM = scan.WITH_HEADERS | scan.MAY_GO_ON


def scanned(*lines: str, form: int = FORM, query: str = "?") -> tuple[bytes, list[list[int]]]:
    """Return the lines as the kernel sees them, and a row of what it found for each."""
    pieces = [line.encode() for line in lines]
    content = b"".join(pieces)
    data = np.frombuffer(content, np.uint8)
    words = np.frombuffer(content[: len(content) // 8 * 8], np.uint64)
    offsets = np.cumsum([0, *map(len, pieces)]).astype(np.int32)
    found = np.full((len(lines), scan.FOUND_COLUMNS), -7, np.int64)
    scan.scan(data, words, offsets, form, ord(query), 400, found)
    return content, found.tolist()


def fnv_1a(text: bytes) -> int:
    value = 0x811C9DC5
    for byte in text:
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


def test_each_part_is_found_in_its_line() -> None:
    lines = [combined("GET /a?b#c HTTP/1.1"), combined("PUT /long/er HTTP/2").replace("200 5", "404 77")]
    content, found = scanned(*lines)
    targets = [content[row[scan.TARGET_START] : row[scan.TARGET_END]] for row in found]
    assert targets == [b"/a", b"/long/er"]
    assert [row[scan.TARGET_HASH] for row in found] == [fnv_1a(target) for target in targets]
    assert [(row[scan.SIZE], row[scan.IS_ERROR]) for row in found] == [(5, 0), (77, 1)]


def test_the_query_stays_where_it_is_wanted_and_the_fragment_never_does() -> None:
    content, found = scanned(combined("GET /a?b#c HTTP/1.1"), query="#")
    assert content[found[0][scan.TARGET_START] : found[0][scan.TARGET_END]] == b"/a?b"


@given(moments)
def test_a_time_is_that_of_python_s_calendar(moment: datetime) -> None:
    written = apache_time(moment)
    line = re.sub(r"\[[^\]]*\]", written if written.startswith("[") else f"[{written}]", combined())
    _, found = scanned(line)
    assert found[0][scan.TIME_US] == int(moment.timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("line", "form"),
    [
        (combined() + "x", FORM),
        (combined() + " more", scan.WITH_HEADERS),
        (combined(), 0),
        (combined(), FORM | scan.WITH_SERVER),
        ("", FORM),
    ],
)
def test_a_line_of_another_form_is_left(line: str, form: int) -> None:
    _, found = scanned(line, combined(), form=form)
    assert found[0][scan.TIME_US] == scan.NOT_TAKEN
    _, found = scanned(combined(), line, combined())
    assert found[0][scan.TIME_US] == found[2][scan.TIME_US] != scan.NOT_TAKEN
