"""What an image build compiles is loaded by another account, from a tree that it cannot write to."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.support.source_tree import PACKAGES, ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ANOTHER_ACCOUNT = 54_321
# Prints each kernel with the number of times that numba found its machine code instead of compiling it. The account is
# changed after numba has imported all that it needs, since the other account may not read this interpreter's files.
USE = f"""
import os
import avro_bridge.app, spark_job.parse.kernels.scan, spark_job.parse.kernels.sums
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


def test_containers_load_every_kernel_that_the_image_build_compiled() -> None:
    # Not tmp_path, whose folders only this account may enter.
    with tempfile.TemporaryDirectory(prefix="headrace-image-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for package in PACKAGES:
            shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
        environment = os.environ | {"PYTHONPATH": name, "NUMBA_DISABLE_JIT": "0", "NUMBA_CACHE_DIR": f"{name}/own"}
        build = [sys.executable, "-m", "headrace.services", "precompile"]
        in_tree = {"NUMBA_CACHE_LOCATOR_CLASSES": "InTreeCacheLocator"}
        subprocess.run(build, cwd=name, env=environment | in_tree, check=True, timeout=240)
        subprocess.run(["chmod", "--recursive", "a-w", name], check=True)
        try:
            done = subprocess.run(
                [sys.executable, "-c", USE],
                cwd=name,
                env=environment | {"HOME": name},
                stdout=subprocess.PIPE,
                text=True,
                check=True,
                timeout=120,
            )
        finally:
            subprocess.run(["chmod", "--recursive", "u+w", name], check=True)
        hits = dict(line.split() for line in done.stdout.splitlines())
        assert hits.keys() == kernels_in_the_source()
        assert set(hits.values()) == {"1"}
        assert not (folder / "own").exists()
