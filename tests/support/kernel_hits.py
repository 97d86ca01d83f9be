"""Finds out which kernels were loaded from machine code that an image build has left, and which were compiled."""

from __future__ import annotations

import ast

from tests.support.source_tree import PACKAGES, ROOT

ANOTHER_ACCOUNT = 54_321
# Prints each kernel with the number of times that numba found its machine code instead of compiling it. The account is
# changed after numba has imported all that it needs, since the other account may not read this interpreter's files.
KERNEL_HITS = f"""
import os
import avro_bridge.app, spark_job.parse.kernels.line_ends, spark_job.parse.kernels.line_times
import spark_job.parse.kernels.scan, spark_job.parse.kernels.sums
from headrace.common import kernels
import numba
numba.njit("int64(int64)")(lambda number: number)
if os.geteuid() == 0:
    os.setgid({ANOTHER_ACCOUNT})
    os.setuid({ANOTHER_ACCOUNT})
assert not os.access(kernels.__file__, os.W_OK)
for each in kernels._registry:
    print(each._function.__name__, sum(each.compile()._cache_hits.values()))
"""


def kernels_in_the_source() -> set[str]:
    """The names of all functions that are decorated with ``@kernel(...)``."""
    trees = [ast.parse(path.read_bytes()) for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    functions = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return {
        function.name
        for function in functions
        for each in function.decorator_list
        if isinstance(each, ast.Call) and isinstance(each.func, ast.Name) and each.func.id == "kernel"
    }


def hits_of(output: str) -> dict[str, str]:
    """Return what :data:`KERNEL_HITS` has printed: for each kernel ``1`` if its machine code was found."""
    return dict(line.split() for line in output.splitlines())
