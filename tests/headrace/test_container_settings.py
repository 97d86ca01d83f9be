"""The settings of the containers are declared once, and read from there."""

from __future__ import annotations

import sys

import pytest

from headrace.container_settings import OF_THE_BRIDGE, OF_THE_JOB, SECTIONS, SETTINGS, Setting


def test_no_name_is_declared_twice() -> None:
    names = [setting.name for section in SECTIONS for setting in section.settings]
    assert sorted(names) == sorted(set(names)) == sorted(SETTINGS)


def test_what_is_an_option_of_the_job_or_the_bridge_has_no_default_here() -> None:
    assert [name for name in (*OF_THE_JOB, *OF_THE_BRIDGE) if SETTINGS[name].default] == []


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=lambda setting: setting.name)
def test_a_meaning_is_a_sentence_without_its_full_stop(setting: Setting) -> None:
    assert len(setting.meaning.split()) >= 2
    assert not setting.meaning.endswith(".")
    assert not setting.reason or setting.reason.endswith(".")


def test_the_fallback_is_what_compose_takes_without_our_commands() -> None:
    assert SETTINGS["HEADRACE_BRIDGES"].fallback == "bridge"
    assert SETTINGS["HEADRACE_SINKS"].fallback == "console"
    assert SETTINGS["HEADRACE_WINDOW"].fallback == ""


def test_it_needs_the_standard_library_only() -> None:
    source = sys.modules["headrace.container_settings"]
    assert {name for name in vars(source) if name in ("pydantic", "typer", "rich")} == set()
