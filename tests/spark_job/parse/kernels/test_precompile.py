"""After precompiling, the kernels are ready."""

from __future__ import annotations

import numpy as np

from spark_job.cli import main
from spark_job.parse.kernels.sums import fill_slots


def test_precompiling_leaves_kernels_that_are_ready() -> None:
    assert main(["precompile"]) == 0
    slots = np.full(4, -1, np.int32)
    fill_slots(np.array([6, 2, 1]), slots)
    assert slots.tolist() == [-1, 2, 0, 1]
