"""Files of the repository that other programs read: forms, workflow, hooks, fragments of the changelog."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.support.source_tree import ROOT, project_files, shown

if TYPE_CHECKING:
    from pathlib import Path

SCHEMAS = {".github/workflows/ci.yml": "vendor.github-workflows", ".github/dependabot.yml": "vendor.dependabot"}
IMAGE = re.compile(r"^\s*(?:image|spark\.kubernetes\.container\.image): *(\S+)", re.MULTILINE)
KINDS = ("added", "changed", "fixed", "removed")


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("file", "schema"), SCHEMAS.items())
def test_what_the_hosting_site_reads_fits_its_schema(file: str, schema: str) -> None:
    checked = run("check_jsonschema", "--builtin-schema", schema, file)
    assert checked.returncode == 0, checked.stdout


def test_the_workflow_calls_the_script_that_decides() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    assert [step["run"] for step in workflow["jobs"]["all"]["steps"] if "run" in step] == ["bash .ci/run"]


def watcher_of(path: Path) -> tuple[str, str] | None:
    """Return what Dependabot calls the kind of a file that pins versions of others, and the folder that it is told."""
    if path.parent.name == "workflows":
        return "github-actions", "/"
    kind = "pip" if path.suffix == ".lock" else {"Dockerfile": "docker", "pom.xml": "maven"}.get(path.name)
    return None if kind is None else (kind, f"/{shown(path).rpartition('/')[0]}")


def test_each_file_that_pins_versions_of_others_is_watched_for_newer_ones() -> None:
    updates = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text(encoding="utf-8"))["updates"]
    watched = {(each["package-ecosystem"], folder) for each in updates for folder in each["directories"]}
    assert watched == {watcher for path in project_files() if (watcher := watcher_of(path))}
    assert {kind for kind, _ in watched} == {"github-actions", "pip", "docker", "maven"}


def test_compose_and_kubernetes_name_only_images_that_we_build() -> None:
    """An image of others would need an entry in ``dependabot.yml``."""
    files = [path for path in project_files() if path.suffix == ".yaml" and ROOT / "docker" in path.parents]
    images = [image for path in files for image in IMAGE.findall(path.read_text(encoding="utf-8"))]
    assert len(images) > 5
    assert [image for image in images if not image.startswith("headrace-")] == []


def test_the_hooks_are_understood_and_download_nothing() -> None:
    assert run("pre_commit", "validate-config", ".pre-commit-config.yaml").returncode == 0
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert {repository["repo"] for repository in hooks} == {"local"}
    assert {hook["language"] for repository in hooks for hook in repository["hooks"]} == {"system"}


def test_each_fragment_has_a_kind_and_reaches_the_changelog() -> None:
    fragments = [path for path in (ROOT / "changelog.d").glob("*.md") if path.name != "README.md"]
    wrong = [
        path.name for path in fragments if not re.fullmatch(rf"(\d+|\+[\w-]+)\.({'|'.join(KINDS)})\.md", path.name)
    ]
    assert wrong == []
    draft = run("towncrier", "build", "--draft", "--version", "9.9.9").stdout
    missing = [path.name for path in fragments if path.read_text(encoding="utf-8").split("\n")[0] not in draft]
    assert missing == []
