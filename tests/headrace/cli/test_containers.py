"""The commands for the containers in the command line that has all commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headrace.containers.arguments import COMMANDS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.command_line import CommandLine


@pytest.mark.parametrize("name", [command.name for command in COMMANDS])
def test_each_has_a_help(command: CommandLine, name: str) -> None:
    shown = command(name, "--help")
    assert shown.code == 0
    assert f"Example: headrace {name}" in shown.out
    assert "--folder" in shown.out


def test_options_reach_the_command(command: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # An engine that answers, without volumes and containers.
    (tmp_path / "docker").write_text("#!/bin/sh\ncase $1 in version|compose) echo 2.30.0 ;; esac\n")
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    nothing = command("scale", "--folder", "mine")
    assert (nothing.code, nothing.err) == (2, "headrace: say how many: headrace scale --workers 3 --bridges 2\n")
    scaled = command("scale", "--workers", "65", "--folder", "mine")
    assert (scaled.code, "no containers run" in scaled.err) == (1, True)
    too_many = command("up", "--workers", "65", "--folder", "mine")
    assert (too_many.code, too_many.err) == (2, "headrace: --workers 65: must be 1 to 64\n")
    none_at_all = command("up", "--workers", "0", "--folder", "mine")
    assert (none_at_all.code, none_at_all.err) == (2, "headrace: --workers 0: must be 1 to 64\n")


def test_nothing_runs_where_nothing_was_started(
    command: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "docker").write_text("#!/bin/sh\ncase $1 in version|compose) echo 2.30.0 ;; esac\n")
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert "no driver runs: `headrace up` starts it" in command("counts", "--folder", "mine").err
    assert "no agent runs; these do: none" in command("shell", "agent", "--folder", "mine").err
    assert "no containers run: `headrace up` starts them" in command("status", "--containers", "--folder", "mine").err
    assert command("reset", "--folder", "mine").code == 0
