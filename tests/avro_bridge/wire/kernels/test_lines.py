"""The kernels that find lines, against Python's own splitting."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from avro_bridge.wire.kernels.lines import count_lines, line_start

texts = st.lists(st.sampled_from([b"\n", b"\r", b"\r\n", b"\0", b"a", b"\xff\x0b"]), max_size=30).map(b"".join)


def lines_of(data: bytes) -> list[bytes]:
    """Only 0x0A ends a line: bytes.splitlines would also split at CR."""
    parts = [part + b"\n" for part in data.split(b"\n")]
    parts[-1] = parts[-1][:-1]
    return parts if parts[-1] else parts[:-1]


@given(texts)
def test_every_line_is_counted(data: bytes) -> None:
    assert count_lines(np.frombuffer(data, np.uint8)) == len(lines_of(data))


@given(texts)
def test_each_line_begins_behind_the_one_before(data: bytes) -> None:
    array = np.frombuffer(data, np.uint8)
    lines = lines_of(data)
    for number in range(len(lines) + 2):
        assert line_start(array, number) == sum(map(len, lines[:number]))
