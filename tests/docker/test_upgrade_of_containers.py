"""Containers over what the version before left behind: folder and volumes go on, and nothing is counted twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headrace.sample import SampleSettings
from tests.support.containers import ContainersProject
from tests.support.headrace_run import make_sample
from tests.support.source_tree import ROOT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(1200)]

CONTAINERS_OF_0_1_0 = ROOT / "tests" / "golden" / "containers-0.1.0.tar.gz"
"""Made on 2026-11-27 by headrace 0.1.0 at commit d5b4e95, before its modules moved: ``headrace sample --lines 600
--seed 1`` dropped into ``make up`` with ``HEADRACE_WINDOW=7d`` and a JSON-lines sink, counted, ``make down``. It has
the folder and the volumes log, job, channel and recovery, without logs of the services. Its secrets opened that run
only.
"""


def test_folder_and_volumes_of_the_version_before_go_on(tmp_path: Path) -> None:
    before = make_sample(tmp_path / "one.log", SampleSettings(lines=600, seed=1))
    after = make_sample(tmp_path / "two.log", SampleSettings(lines=400, seed=2))
    folder = tmp_path / "containers"
    folder.mkdir()
    with ContainersProject(folder) as project:
        project.take_over(CONTAINERS_OF_0_1_0)
        project.must_make("up")
        project.drop(tmp_path / "two.log")
        project.wait_counted(before.total() + after.total())
        assert project.counted() == before + after
