"""The command line as users meet it: quick help, clear refusals, exit codes."""

from __future__ import annotations

import gzip
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.command_line import CommandLine


def test_help_and_version_need_no_heavy_package(command: CommandLine) -> None:
    code = "import sys, headrace.cli.app; print(sorted({'polars', 'pyspark', 'numba', 'pyarrow'} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
    version = command("--version")
    assert (version.code, version.out.split()[0]) == (0, "headrace")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--once"], "--once needs files"),
        (["run", "--once", "missing.log"], "missing.log: no such file"),
        (["run", "--once", "."], ". is a folder"),
        (["run", "--once", "--spool", "x", "a.log"], "--spool cannot be used with --once"),
        (["run", "a.log"], "write --once"),
        (["run", "--window", "1 fortnight"], "--window 1 fortnight"),
        (["run", "--window", "5m", "--slide", "2m"], "not a whole multiple"),
        (["run", "--window", "5m", "--slide", "10m"], "longer than window"),
        (["run", "--time", "events"], "did you mean 'event'?"),
        (["run", "--format", "combinde"], "did you mean 'combined'?"),
        (["run", "--url", "templates"], "did you mean 'template'?"),
        (["run", "--channel", "files"], "did you mean 'file'?"),
        (["run", "--timezone", "Europe/Berlni"], "Europe/Berlni"),
        (["run", "--sink", "json:x"], "did you mean 'jsonl'?"),
        (["run", "--sink", "jsonl:no/such/folder/x"], "does not exist"),
        (["run", "--sink", "console", "--sink", "console"], "named twice"),
        (["run", "--top", "0"], "--top 0"),
        (["run", "--max-events", "0"], "--max-events 0"),
        (["drop", "missing.log"], "missing.log: no such file"),
        (["sample", "--start", "yesterday"], "--start yesterday"),
        (["render"], "is needed"),
        (["render", "--values", "x.toml"], "needs --out"),
        (["render", "--values", "x.toml", "--out", "agent"], "x.toml"),
        (["log", "verify"], "name one"),
        (["log", "dump", "nowhere"], "no such folder"),
    ],
)
def test_what_cannot_be_used_is_refused_with_one_sentence_and_nothing_is_started(
    command: CommandLine, tmp_path: Path, arguments: list[str], said: str
) -> None:
    refused = command(*arguments)
    assert refused.code == 2
    assert refused.out == ""
    assert said in refused.err
    assert refused.err.startswith("headrace: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.java
def test_a_damaged_archive_to_count_is_refused_and_leaves_nothing_behind(
    command: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    archive = tmp_path / "access.log.gz"
    archive.write_bytes(gzip.compress(b"a line\n" * 1000)[:-9])
    said = command("run", "--once", str(archive))
    assert (said.code, said.out) == (1, "")
    assert "cut short" in said.err
    assert len(said.err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == [archive]
