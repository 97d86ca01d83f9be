"""Messages name the commands of their caller: targets of make, or commands of headrace."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from headrace.containers.arguments import mean_containers, parser
from headrace.containers.hints import CALLED_BY, typed
from tests.support.source_tree import ROOT

HINTS: list[tuple[str, dict[str, Any], str, str]] = [
    ("up", {}, "make up", "headrace up"),
    (
        "scale",
        {"workers": 3, "bridges": 2},
        "make scale WORKERS=3 BRIDGES=2",
        "headrace scale --workers 3 --bridges 2",
    ),
    ("logs", {"service": "driver"}, "make logs SERVICE=driver", "headrace logs driver"),
    ("drop", {"file": "access.log"}, "make drop FILE=access.log", "headrace drop --containers access.log"),
    ("status", {}, "make status", "headrace status --containers"),
]


@pytest.mark.parametrize(("command", "values", "under_make", "alone"), HINTS)
def test_a_hint_is_what_the_caller_types(
    monkeypatch: pytest.MonkeyPatch, command: str, values: dict[str, Any], under_make: str, alone: str
) -> None:
    monkeypatch.setenv(CALLED_BY, "make")
    assert typed(command, **values) == under_make
    monkeypatch.delenv(CALLED_BY)
    assert typed(command, **values) == alone


@pytest.mark.parametrize("hint", [alone for *_, alone in HINTS])
def test_what_is_hinted_can_be_typed(hint: str) -> None:
    words = shlex.split(hint)[1:]
    assert mean_containers(words)
    assert parser().parse_args(words).command == words[0]


@pytest.mark.parametrize("hint", [under_make for _, _, under_make, _ in HINTS])
def test_a_hinted_target_is_in_the_makefile(hint: str) -> None:
    target, *variables = hint.split()[1:]
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f"\n{target}:" in text
    assert [each for each in variables if f"$({each.partition('=')[0]})" not in text] == []
