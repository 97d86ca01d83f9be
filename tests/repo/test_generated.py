"""Files that are generated from the code are what the code says now."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from avro_bridge.config import BridgeConfig
from headrace.container_settings import SETTINGS
from spark_job.jobs.options import UrlCountsOptions
from spark_job.options.command_line import default_text
from tests.support.source_tree import ROOT

if TYPE_CHECKING:
    from types import ModuleType

GENERATOR = ROOT / "docker" / "generate.py"


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docker_generate", GENERATOR)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_files_of_the_containers_are_what_the_settings_say() -> None:
    command = [sys.executable, str(GENERATOR), "--check"]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_a_default_that_was_changed_in_one_copy_is_found(generator: ModuleType) -> None:
    text = (ROOT / "docker" / "compose.yaml").read_text(encoding="utf-8")
    assert "${HEADRACE_DRIVER_LIMIT:-1800m}" in text
    changed = text.replace("${HEADRACE_DRIVER_LIMIT:-1800m}", "${HEADRACE_DRIVER_LIMIT:-2g}")
    assert generator.compose(changed) == text


def test_a_version_of_our_images_that_was_forgotten_is_found(generator: ModuleType) -> None:
    text = "headrace-spark-k8s:0.0.9 {name: headrace-agent, newTag: 0.0.9rc1} polars:0.0.9"
    mended = "headrace-spark-k8s:1.2.3 {name: headrace-agent, newTag: 1.2.3} polars:0.0.9"
    assert generator.with_version(text, "1.2.3") == mended
    written = {
        str(path.relative_to(ROOT))
        for path, text in generator.files().items()
        if text != generator.with_version(text, "9.9.9")
    }
    assert {
        "docker/compose.yaml",
        "docker/k8s/Dockerfile",
        "docker/k8s/base/agent.yaml",
        "docker/k8s/base/bridge.yaml",
        "docker/k8s/base/kustomization.yaml",
        "docker/k8s/base/spark-application.yaml",
        "docs/howto/kubernetes.md",
    } == written


def test_a_variable_that_nobody_declared_is_an_error(generator: ModuleType) -> None:
    with pytest.raises(LookupError, match="HEADRACE_UNKNOWN"):
        generator.compose("${HEADRACE_UNKNOWN:-1}")


def test_defaults_of_the_job_and_the_bridge_are_those_of_their_models(generator: ModuleType) -> None:
    shown = {name: generator.default_of(SETTINGS[name]) for name in ("HEADRACE_WINDOW", "HEADRACE_LOG_MAX_BYTES")}
    assert shown == {
        "HEADRACE_WINDOW": default_text(UrlCountsOptions, "window"),
        "HEADRACE_LOG_MAX_BYTES": str(BridgeConfig().log.max_bytes),
    }
    assert generator.default_of(SETTINGS["HEADRACE_SLIDE"]) == "", "the window, so it is left out"


def test_other_arguments_are_refused(generator: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert generator.main(["--wirte"]) == 2
    assert "usage" in capsys.readouterr().err
