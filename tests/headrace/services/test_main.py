"""The command of every container: wrong usage is exit code 2, and the agent's image needs few packages."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from headrace.services.__main__ import main
from tests.support.source_tree import ROOT

if TYPE_CHECKING:
    import pytest


def test_the_agents_image_needs_none_of_the_other_packages() -> None:
    code = (
        "import sys, headrace.services.agent, headrace.services.health; "
        "print([name for name in ('pyspark', 'avro_bridge', 'spark_job', 'numba', 'rich') if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"


def test_the_agents_lock_pins_what_the_projects_lock_pins() -> None:
    def pins(name: str) -> set[str]:
        lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
        return {line.split()[0] for line in lines if "==" in line}

    of_agent = pins("docker/agent-requirements.lock")
    assert of_agent
    assert of_agent <= pins("requirements.lock")


def test_a_service_that_does_not_exist_is_wrong_usage() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "headrace.services", "worker"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert "the services are agent, bridge, spark-master" in ended.stderr


def test_other_wrong_usage_prints_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == main(["show", "spark-master"]) == 2
    assert capsys.readouterr().err.count("check SERVICE") == 2


def test_a_driver_without_its_secret_says_which_file_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.services.spark.SPARK_SECRET_FILE", "/nowhere/spark-secret")
    assert main(["driver"]) == 1
    assert "driver: cannot start: " in (said := capsys.readouterr().err)
    assert "/nowhere/spark-secret" in said
