"""The scan kernel, behind that which finds the times: each column of its result, and the lines that it leaves."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_job.parse.kernels import line_times, scan
from spark_job.parse.kernels.loads import loads_of
from tests.support.access_lines import apache_time, combined, moments
from tests.support.target_hashes import target_hash

if TYPE_CHECKING:
    from datetime import datetime

FORM = scan.WITH_HEADERS | scan.MAY_GO_ON


def scanned(*lines: str, form: int = FORM, query: str = "?") -> tuple[bytes, list[list[int]]]:
    """Return the lines as the kernel sees them, and a row of what it found for each."""
    pieces = [line.encode() for line in lines]
    content = b"".join(pieces)
    data = np.frombuffer(content, np.uint8)
    loads = loads_of(data)
    offsets = np.cumsum([0, *map(len, pieces)]).astype(np.int32)
    found = np.full((len(lines), scan.FOUND_COLUMNS), -7, np.int64)
    line_times.find_times(data, loads, offsets[:-1], offsets[1:], form, found)
    scan.scan(data, loads, form, ord(query), 400, found)
    return content, found.tolist()


def test_each_part_is_found_in_its_line() -> None:
    lines = [combined("GET /a?b#c HTTP/1.1"), combined("PUT /long/er HTTP/2").replace("200 5", "404 77")]
    content, found = scanned(*lines)
    targets = [content[row[scan.TARGET_START] : row[scan.TARGET_END]] for row in found]
    assert targets == [b"/a", b"/long/er"]
    assert [row[scan.TARGET_HASH] for row in found] == [target_hash(target) for target in targets]
    assert [(row[scan.SIZE], row[scan.IS_ERROR]) for row in found] == [(5, 0), (77, 1)]


@given(st.text(st.sampled_from("abc/!%$~_.-=&;:@+,'()*|{}<>^`\x01\x1f\x7f"), min_size=1, max_size=40), st.booleans())
def test_a_hash_depends_on_the_target_alone(target: str, query: bool) -> None:  # noqa: FBT001
    """Wherever it starts, and whatever comes behind it."""
    lines = [combined(f"GET {target}{behind} HTTP/1.1") for behind in ("", "#f", "?q" if query else "#!a?b", "#" * 9)]
    _, found = scanned(*lines, combined(f"POST {target} HTTP/2"), query="?" if query else "#")
    assert {row[scan.TARGET_HASH] for row in found} == {target_hash(target.encode())}


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


def test_the_columns_of_the_times_are_those_that_are_read() -> None:
    """A constant of another file would be compiled in, so both files have them."""
    assert (line_times.TIME_US, line_times.REQUEST_START, line_times.STOP) == (
        scan.TIME_US, scan.TARGET_START, scan.TARGET_END,
    )  # fmt: skip
    assert (line_times.NOT_TAKEN, line_times.WITH_SERVER) == (scan.NOT_TAKEN, scan.WITH_SERVER)
