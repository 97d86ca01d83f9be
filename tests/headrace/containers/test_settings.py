"""The settings of the containers: where each value comes from, and what is refused.

That the list, the compose file and the code agree is held in tests/repo/test_compose.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.containers.settings import PROFILES, Settings
from headrace.errors import UsageError
from tests.support.source_tree import ROOT

COMPOSE = ROOT / "docker" / "compose.yaml"
NOWHERE = Path("/nowhere/at/all")


def settings(**environment: str) -> Settings:
    return Settings(environment, NOWHERE)


def test_the_profiles_are_those_of_the_compose_file() -> None:
    text = COMPOSE.read_text(encoding="utf-8")
    named = [line.partition("[")[2].rstrip("]") for line in text.splitlines() if line.strip().startswith("profiles:")]
    assert sorted(named) == sorted(PROFILES)


def test_the_environment_goes_before_the_file_and_that_before_the_default(tmp_path: Path) -> None:
    chosen = tmp_path / "docker" / ".env"
    chosen.parent.mkdir()
    chosen.write_text("# mine\nHEADRACE_WINDOW=1m\nHEADRACE_TOP = 5\n".replace(" = ", "="))
    found = Settings({"HEADRACE_WINDOW": "2m", "HEADRACE_URL": ""}, chosen, {"PUID": "7"})
    assert (found.values["HEADRACE_WINDOW"].text, found.values["HEADRACE_WINDOW"].origin) == ("2m", "environment")
    assert (found.values["HEADRACE_TOP"].text, found.values["HEADRACE_TOP"].origin) == ("5", "docker/.env")
    assert (found.values["HEADRACE_URL"].text, found.values["HEADRACE_URL"].origin) == ("path", "default")
    assert (found.values["PUID"].text, found.values["PUID"].origin) == ("7", "computed")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("HEADRACE_WINDOWS=1m\n", "no setting is called HEADRACE_WINDOWS; did you mean 'HEADRACE_WINDOW'"),
        ("QUITE_ANOTHER_THING=1\n", "lists them all"),
        ("HEADRACE_WATERMARK=10m\n", r"/\.env: HEADRACE_WATERMARK is gone: URL counts have no watermark any more"),
        ("HEADRACE_WINDOW\n", "line 1: neither a comment nor NAME=value"),
    ],
)
def test_a_file_with_what_means_nothing_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / ".env").write_text(text)
    with pytest.raises(UsageError, match=said):
        Settings({}, tmp_path / ".env")


def test_a_removed_variable_is_refused_unless_it_is_empty(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"environment: HEADRACE_WATERMARK is gone: .* see HEADRACE_KEEP and HEADRACE_"
    ):
        settings(HEADRACE_WATERMARK="10m")
    (tmp_path / ".env").write_text("HEADRACE_WATERMARK=\n")
    assert "HEADRACE_WATERMARK" not in Settings({"HEADRACE_WATERMARK": ""}, tmp_path / ".env").values


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
    with pytest.raises(UsageError, match=said):
        settings(**{name: value})


def test_empty_values_are_not_handed_to_compose() -> None:
    assert "HEADRACE_SLIDE" not in settings().environment()
    assert settings().profiles == ()
    assert settings(COMPOSE_PROFILES="metrics, history").profiles == ("metrics", "history")
