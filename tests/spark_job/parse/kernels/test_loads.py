"""Bytes by eights, from every byte on."""

from __future__ import annotations

import numpy as np
import pytest

from spark_job.parse.kernels.loads import SIZE, loads_of


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 40])
def test_each_byte_but_the_last_seven_starts_a_number(count: int) -> None:
    content = bytes(range(100, 100 + count))
    expected = [int.from_bytes(content[at : at + SIZE], "little") for at in range(max(0, count - SIZE + 1))]
    assert loads_of(np.frombuffer(content, np.uint8)).tolist() == expected


def test_nothing_is_copied() -> None:
    data = np.zeros(9, np.uint8)
    loads = loads_of(data)
    data[8] = 1
    assert loads.tolist() == [0, 1 << 56]
