"""What an image build compiles is loaded by another account, from a tree that it cannot write to."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.support.kernel_hits import KERNEL_HITS, hits_of, kernels_in_the_source
from tests.support.source_tree import PACKAGES, ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


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
                [sys.executable, "-c", KERNEL_HITS],
                cwd=name,
                env=environment | {"HOME": name},
                stdout=subprocess.PIPE,
                text=True,
                check=True,
                timeout=120,
            )
        finally:
            subprocess.run(["chmod", "--recursive", "u+w", name], check=True)
        hits = hits_of(done.stdout)
        assert hits.keys() == kernels_in_the_source()
        assert set(hits.values()) == {"1"}
        assert not (folder / "own").exists()
