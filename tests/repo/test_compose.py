"""The compose file passes both composes and the rules of the house; its settings are those of the example file."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from headrace.container_settings import OF_THE_JOB
from headrace.containers.places import EXAMPLE
from headrace.containers.settings import parse
from headrace.services.spark import EVENTS, defaults
from tests.support.compose_rules import findings, variables
from tests.support.source_tree import ROOT, python_files, tree_of

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


READ_BY_COMPOSE = {"COMPOSE_PROJECT_NAME", "COMPOSE_PROFILES"}
"""Variables that compose itself looks for, whether the file names them or not."""


def reasons(text: str) -> dict[str, str]:
    """Return what stands above each variable of an example file.

    A comment holds for all that follow it, up to a blank line or the next comment.
    """
    found: dict[str, str] = {}
    reason: list[str] = []
    ended = True
    for line in text.splitlines():
        if line.startswith("#"):
            if ended:
                reason = []
            ended = False
            reason.append(line.lstrip("# "))
        elif "=" in line:
            ended = True
            found[line.partition("=")[0]] = " ".join(reason)
        else:
            ended, reason = True, []
    return found


def defaults_in_compose() -> dict[str, str]:
    used = variables(COMPOSE.read_text(encoding="utf-8"))
    return {name: rest.removeprefix(":-") for name, rest in used.items()}


def test_the_reason_of_a_setting_is_what_stands_above_it() -> None:
    text = "# of the file\n\n# one\n# more\nA=1\nB=\n\n# --- next ---\n\n# two\nC=3\n# three\nD=4\n\nE=5\n"
    assert reasons(text) == {"A": "one more", "B": "one more", "C": "two", "D": "three", "E": ""}


def test_every_variable_of_the_compose_file_is_a_setting_and_no_other_is() -> None:
    assert set(parse(EXAMPLE)) == set(defaults_in_compose()) | READ_BY_COMPOSE


def test_every_setting_has_its_reason() -> None:
    given = reasons(EXAMPLE.read_text(encoding="utf-8"))
    assert set(given) == set(parse(EXAMPLE))
    assert [name for name, reason in given.items() if len(reason.split()) < 4] == []


def read_in_containers() -> set[str]:
    """Return the variables that the code in the containers reads."""
    found = set(OF_THE_JOB)
    for path in python_files("headrace"):
        if path.parent.name != "services":
            continue
        for node in ast.walk(tree_of(path)):
            called = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
            if isinstance(node, ast.Call) and called in ("read", "read_number"):
                found |= {str(each.value) for each in node.args if isinstance(each, ast.Constant)}
    return found


def handed_over() -> set[str]:
    services = parsed()["services"].values()
    return {name for service in services for name in service.get("environment", {})}


def test_what_the_code_reads_is_what_the_compose_file_hands_over() -> None:
    assert read_in_containers() == handed_over()


def mounted(service: str) -> dict[str, str]:
    """Return what a service may write to: the folder in its container, and the volume or folder that it is."""
    volumes = parsed()["services"][service]["volumes"]
    return {target: source for source, _, target in (text.rpartition(":") for text in volumes) if target != "ro"}


@pytest.mark.parametrize("profiles", ["", "metrics", "history", "metrics,history"])
def test_the_history_server_reads_what_the_driver_writes(profiles: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPOSE_PROFILES", profiles)
    conf = defaults("a secret")
    # A log that nobody reads would only fill the volume.
    assert conf["spark.eventLog.enabled"] == str("history" in profiles).lower()
    assert conf["spark.eventLog.dir"] == conf["spark.history.fs.logDirectory"] == f"file:{EVENTS}"
    assert conf["spark.history.fs.cleaner.enabled"] == "true"
    assert mounted("driver")[EVENTS] == mounted("history")[EVENTS] == "events"
    # Spark ends at once when the folder is not there; an empty volume takes it from the image, owner included.
    made = re.findall(r"install -d -o \S+ -g \S+ (.+)", (ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8"))
    assert EVENTS in made[-1].split()
