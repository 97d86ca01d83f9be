"""The compose file passes both composes and the rules of the house; its settings are those of example and README."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.compose_rules import findings
from tests.support.source_tree import ROOT

COMPOSE = ROOT / "docker" / "compose.yaml"


def parsed() -> dict[str, Any]:
    tree = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    assert isinstance(tree, dict)
    return tree


def profiles() -> list[str]:
    return sorted({name for service in parsed()["services"].values() for name in service.get("profiles", [])})


def run(*command: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_file_breaks_no_rule() -> None:
    assert findings(parsed()) == []


def test_the_file_is_of_the_compose_specification() -> None:
    checker = Path(sys.executable).with_name("check-jsonschema")
    ended = run(checker, "--builtin-schema", "vendor.compose-spec", COMPOSE)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.compose
@pytest.mark.parametrize("profile", ["", *profiles(), ",".join(profiles())], ids=lambda names: names or "no profile")
def test_the_old_compose_takes_the_file_without_a_warning(profile: str) -> None:
    ended = run("docker-compose", "--file", COMPOSE, "config", "--quiet", COMPOSE_PROFILES=profile)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_our_images_have_the_version_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    images = [service["image"] for service in parsed()["services"].values()]
    ours = [image for image in images if image.startswith("headrace-")]
    assert ours
    assert {image.partition(":")[2] for image in ours} == {project["version"]}


def test_what_is_built_is_told_the_base_image_and_the_account() -> None:
    built = {name: service["build"] for name, service in parsed()["services"].items() if "build" in service}
    assert built
    for name, build in built.items():
        assert {"BASE_IMAGE", "PUID", "PGID"} <= build["args"].keys(), name
        dockerfile = COMPOSE.parent / build["context"] / build.get("dockerfile", "Dockerfile")
        text = dockerfile.read_text(encoding="utf-8")
        assert re.findall(r"^FROM (\S+)", text, re.MULTILINE)[0] == "${BASE_IMAGE}", name
        users = re.findall(r"^USER (\S+)", text, re.MULTILINE)
        assert users[-1] == "${PUID}:${PGID}", name
