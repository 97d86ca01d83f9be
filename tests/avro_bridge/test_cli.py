"""The bridge's command line."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from avro_bridge import cli
from avro_bridge.errors import LogFull

if TYPE_CHECKING:
    from pathlib import Path


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "avro_bridge", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_a_usable_configuration_passes_the_check_in_silence(tmp_path: Path) -> None:
    (tmp_path / "bridge.toml").write_text("[listen]\nport = 0\n")
    ended = run("check", "--config", str(tmp_path / "bridge.toml"))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert run("check").returncode == 0, "the defaults are usable"


def test_a_wrong_configuration_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    config = tmp_path / "bridge.toml"
    config.write_text("[listen]\nport = 70000\n")
    ended = run("check", "--config", str(config))
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"avro_bridge: {config}: listen.port: ")
    assert len(ended.stderr.splitlines()) == 1


def test_wrong_usage_is_exit_code_2() -> None:
    assert run("serve", "--no-such-option").returncode == 2


@pytest.mark.parametrize("error", [LogFull("the disk is full"), OSError(98, "Address already in use")])
def test_any_other_expected_error_is_one_line_and_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    assert capsys.readouterr().err == f"avro_bridge: {error}\n"
