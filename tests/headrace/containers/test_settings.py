"""The settings of the containers: one list, held against compose file and code, and where each value comes from."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from headrace.containers.folder import ContainersFolder
from headrace.containers.settings import EXAMPLE, PROFILES, Settings, parse
from headrace.errors import OptionError
from tests.support.compose_rules import variables
from tests.support.source_tree import ROOT, python_files, tree_of

COMPOSE = ROOT / "docker" / "compose.yaml"
NOWHERE = Path("/nowhere/at/all")
COMPUTED = set(ContainersFolder(Path("x")).computed((1, 1))) | {"HEADRACE_BRIDGES"}
"""What `make up` fills in, so that the compose file alone has another default."""


def settings(**environment: str) -> Settings:
    return Settings(environment, NOWHERE)


def test_the_example_lists_what_the_compose_file_uses_with_the_same_defaults() -> None:
    used = variables(COMPOSE.read_text(encoding="utf-8"))
    listed = parse(EXAMPLE)
    assert listed.keys() - used.keys() == {"COMPOSE_PROJECT_NAME"}, "compose reads this one by itself"
    assert used.keys() - listed.keys() == set()
    assert {name: listed[name] for name in used.keys() - COMPUTED} == {
        name: rest.removeprefix(":-") for name, rest in used.items() if name not in COMPUTED
    }


def test_every_setting_has_a_reason_above_it() -> None:
    bare = []
    reason = False
    for line in EXAMPLE.read_text(encoding="utf-8").splitlines():
        reason = line.startswith("# ") or (reason and bool(line))
        if "=" in line and not line.startswith("#") and not reason:
            bare.append(line)
    assert bare == []


def test_what_the_containers_read_has_the_same_defaults() -> None:
    listed = parse(EXAMPLE)
    read = {}
    for path in python_files("headrace"):
        if path.parent.name == "inside":
            for node in ast.walk(tree_of(path)):
                match node:
                    case ast.Call(func=ast.Name("read"), args=[ast.Constant(str(name)), ast.Constant(default)]):
                        read[name] = default
    assert {name: value for name, value in read.items() if listed.get(name) != value and name not in COMPUTED} == {}
    assert len(read) > 10


def test_the_profiles_are_those_of_the_compose_file() -> None:
    text = COMPOSE.read_text(encoding="utf-8")
    named = [line.partition("[")[2].rstrip("]") for line in text.splitlines() if line.strip().startswith("profiles:")]
    assert sorted(named) == sorted(PROFILES)


def test_the_environment_goes_before_the_file_and_that_before_the_default(tmp_path: Path) -> None:
    chosen = tmp_path / ".env"
    chosen.write_text("# mine\nHEADRACE_WINDOW=1m\nHEADRACE_TOP = 5\n".replace(" = ", "="))
    found = Settings({"HEADRACE_WINDOW": "2m", "HEADRACE_URL": ""}, chosen, {"PUID": "7"})
    assert (found.values["HEADRACE_WINDOW"].text, found.values["HEADRACE_WINDOW"].origin) == ("2m", "environment")
    assert (found.values["HEADRACE_TOP"].text, found.values["HEADRACE_TOP"].origin) == ("5", "docker/.env")
    assert (found.values["HEADRACE_URL"].text, found.values["HEADRACE_URL"].origin) == ("path", "default")
    assert (found.values["PUID"].text, found.values["PUID"].origin) == ("7", "computed")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("HEADRACE_WINDOWS=1m\n", "did you mean HEADRACE_WINDOW"),
        ("QUITE_ANOTHER_THING=1\n", "lists them all"),
        ("HEADRACE_WINDOW\n", "line 1: neither a comment nor NAME=value"),
    ],
)
def test_a_file_with_what_means_nothing_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / ".env").write_text(text)
    with pytest.raises(OptionError, match=said):
        Settings({}, tmp_path / ".env")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("HEADRACE_EXECUTOR_MEMORY", "2g", "does not fit into HEADRACE_WORKER_MEMORY=1g"),
        ("HEADRACE_WORKER_MEMORY", "4096m", "does not fit into HEADRACE_WORKER_LIMIT=2g"),
        ("HEADRACE_DRIVER_MEMORY", "much", "write a size like 512m or 2g"),
        ("HEADRACE_EXECUTOR_CORES", "3", "is above HEADRACE_WORKER_CORES=2"),
        ("HEADRACE_WORKER_CORES", "two", "write a whole number"),
        ("COMPOSE_PROFILES", "metrics,grafana", "grafana: not one of metrics, history"),
        ("COMPOSE_PROJECT_NAME", "Head Race", "lower-case"),
    ],
)
def test_values_that_cannot_work_are_refused_before_anything_starts(name: str, value: str, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        settings(**{name: value})


def test_empty_values_are_not_handed_to_compose() -> None:
    assert "HEADRACE_SLIDE" not in settings().environment()
    assert settings().profiles == ()
    assert settings(COMPOSE_PROFILES="metrics, history").profiles == ("metrics", "history")
