"""The tools: what they print for people and for machines, and their exit codes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING

from flume.config import rendered_examples
from tests.support.source_tree import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.support.command_line import CommandLine


def test_doctor_names_what_is_missing_and_what_to_do(
    command: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    examined = command("doctor", "--json")
    assert examined.code == 1
    found = {finding["name"]: finding for finding in json.loads(examined.out)}
    assert found["Python"]["level"] == "ok"
    assert set(found) >= {"PySpark", "Flume's jars", "disk", "memory", "open files", "spool folder"}
    assert found["Java"]["level"] == "fault"
    assert "apt-get install openjdk-17-jre-headless" in found["Java"]["advice"]
    table = command("doctor")
    assert table.code == 1
    assert "FAULT" in table.out


def test_a_sample_to_a_reader_that_has_seen_enough_is_no_failure(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "headrace.cli.app", "sample", "--lines", "200000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as sample:
        assert sample.stdout is not None
        assert sample.stderr is not None
        assert sample.stdout.readline().endswith(b"\n")
        sample.stdout.close()
        assert sample.stderr.read() == b""
        assert sample.wait() == 0


def test_a_sample_is_the_same_for_the_same_seed_and_goes_where_it_is_told(command: CommandLine, tmp_path: Path) -> None:
    options = ("sample", "--lines", "50", "--seed", "3", "--malformed", "2")
    assert command(*options, "--out", "a.log") == (0, "", "")
    assert command(*options, "--out", "b.log").code == 0
    assert (tmp_path / "a.log").read_bytes() == (tmp_path / "b.log").read_bytes()
    assert (tmp_path / "a.log").read_bytes().count(b"\n") == 50
    command("sample", "--lines", "50", "--seed", "4", "--out", "c.log")
    assert (tmp_path / "c.log").read_bytes() != (tmp_path / "a.log").read_bytes()


def test_a_sample_starts_when_it_is_told(command: CommandLine, tmp_path: Path) -> None:
    assert command("sample", "--lines", "1", "--start", "2020-02-29T23:00:00Z", "--out", "a.log").code == 0
    assert "[29/Feb/2020:23:00:" in (tmp_path / "a.log").read_text()


def test_an_agent_is_rendered_into_the_folder_that_is_named(command: CommandLine, tmp_path: Path) -> None:
    example = ROOT / "flume" / "config" / "rendered" / "memory"
    values = (example / "values.toml").read_text(encoding="utf-8")
    assert "[spool]" not in values
    (tmp_path / "agent.toml").write_text(f'{values}\n[spool]\nfolder = "{tmp_path}"\n', encoding="utf-8")
    rendered = command("render", "--values", "agent.toml", "--out", "agent")
    assert (rendered.code, rendered.out) == (0, ""), rendered.err
    assert rendered.err.startswith("headrace: rendered ")
    written = (tmp_path / "agent" / "agent.properties").read_text(encoding="utf-8")
    committed = (example / "agent.properties").read_text(encoding="utf-8")
    # The first line has a hash of the values.
    assert written.split("\n")[1:] == committed.replace("/var/spool/headrace", str(tmp_path)).split("\n")[1:]


def test_the_committed_examples_are_what_their_templates_give(command: CommandLine) -> None:
    assert command("render", "--check") == (0, "", "")
    assert command("render", "--diff") == (0, "", "")


def test_a_check_of_the_examples_shows_where_they_begin_to_differ(
    command: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "rendered"
    shutil.copytree(rendered_examples.RENDERED, root)
    changed = root / "file" / "agent.properties"
    changed.write_text(changed.read_text().replace("batch-size = 5000", "batch-size = 7"))
    monkeypatch.setattr(rendered_examples, "diff", partial(rendered_examples.diff, root))
    checked = command("render", "--check")
    assert (checked.code, checked.out) == (1, "")
    assert "\n  --- committed/file/agent.properties\n" in checked.err
    assert "\n  -headrace.sinks.bridge0_0.batch-size = 7\n" in checked.err
