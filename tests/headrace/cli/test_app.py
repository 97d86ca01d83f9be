"""The command line as users meet it: quick help, clear refusals, exit codes."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, NamedTuple

import pytest

import headrace.errors
from headrace.cli.app import main
from headrace.cli.exit_codes import exit_code_of
from headrace.errors import HeadraceError, UsageError
from headrace.local.run_options import parse_options
from spark_job.jobs.options import UrlCountsOptions

if TYPE_CHECKING:
    from pathlib import Path


class Said(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


class CommandLine:
    """The command line in this process, which spares each case the start of another Python."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        monkeypatch.chdir(folder)
        monkeypatch.setenv("COLUMNS", "100")
        monkeypatch.setenv("NO_COLOR", "1")

    def __call__(self, *arguments: str) -> Said:
        self._monkeypatch.setattr(sys, "argv", ["headrace", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = self._capsys.readouterr()
        return Said(int(ended.value.code or 0), out, err)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> CommandLine:
    return CommandLine(monkeypatch, capsys, tmp_path)


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


def test_a_sample_to_a_reader_that_has_seen_enough_is_no_failure(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "headrace.cli.app", "sample", "--lines", "200000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as sample:
        assert sample.stdout is not None
        assert sample.stderr is not None
        assert sample.stdout.readline().endswith(b"\n")
        sample.stdout.close()
        assert sample.stderr.read() == b""
        assert sample.wait() == 0


def test_drop_says_what_it_did(command: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "access.log").write_text("one\ntwo\n")
    (tmp_path / "empty.log").write_text("")
    dropped = command("drop", "access.log", "empty.log")
    assert dropped.code == 0
    assert "access.log: 2 lines handed over as " in dropped.out
    assert "empty.log: empty, not handed over" in dropped.out
    assert len(list((tmp_path / "state" / "spool").iterdir())) == 1


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


def test_stop_and_status_without_a_run(command: CommandLine) -> None:
    stopped = command("stop")
    assert stopped.code == 1
    assert "nothing runs in" in stopped.err
    shown = command("status")
    assert shown.code == 1
    assert "the bridge is down" in shown.out
    machine = command("status", "--json")
    assert machine.code == 1
    assert json.loads(machine.out)["faults"] == ["the agent is down", "the bridge is down", "the job is down"]


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


def test_every_error_has_one_of_the_documented_exit_codes() -> None:
    classes = [value for value in vars(headrace.errors).values() if isinstance(value, type)]
    errors = [cls for cls in classes if issubclass(cls, HeadraceError)]
    assert {cls.exit_code for cls in errors} == {1, 2, 130}
    # The tree in the docstring gives the code of each class beside its name.
    drawn = dict(re.findall(r"^ *[│├└─ ]*(\w+) +(\d+)\b", headrace.errors.__doc__ or "", re.MULTILINE))
    assert drawn == {cls.__name__: str(cls.exit_code) for cls in errors}


def test_errors_of_the_stages_have_exit_codes_and_bugs_have_none() -> None:
    from avro_bridge.errors import ConfigError, LogFull
    from flume.errors import JarsMissing, RenderError
    from spark_job.errors import OptionError, QueryFailed

    codes = [
        (ConfigError("x"), 2),
        (LogFull("x"), 1),
        (JarsMissing("x"), 1),
        (RenderError("x"), 2),
        (OptionError("x"), 2),
        (QueryFailed("x"), 1),
        (ZeroDivisionError(), None),
    ]
    assert [exit_code_of(error) for error, _ in codes] == [code for _, code in codes]


def test_the_slide_is_the_window_and_the_sink_is_the_console_unless_told_otherwise(tmp_path: Path) -> None:
    options = parse_options(window="1h")
    assert isinstance(options.own, UrlCountsOptions)
    assert options.own.windows.slide == options.own.windows.length
    assert [sink.kind for sink in options.settings.sinks] == ["console"]
    only_file = parse_options(out=tmp_path / "counts.jsonl").settings
    assert [(sink.kind, sink.path) for sink in only_file.sinks] == [("jsonl", tmp_path / "counts.jsonl")]
    both = parse_options(sinks=["console"], out=tmp_path / "counts.jsonl").settings
    assert [sink.kind for sink in both.sinks] == ["console", "jsonl"]
    with pytest.raises(UsageError, match="--top 0"):
        parse_options(top="0")
