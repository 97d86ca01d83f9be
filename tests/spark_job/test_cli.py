"""Wrong usage ends with exit code 2 and one line that says what would be right, before Java is started."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from spark_job.cli import main

if TYPE_CHECKING:
    from pathlib import Path

GOOD = {"--bridges": "127.0.0.1:4142"}


def run(tmp_path: Path, **changes: str) -> int:
    options = GOOD | {f"--{name.replace('_', '-')}": value for name, value in changes.items()}
    arguments = [part for option in options.items() for part in option]
    return main(["url-counts", "--job-folder", str(tmp_path / "job"), *arguments])


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("bridges", "nowhere", "host:port"),
        ("window", "5 parsecs", "--window 5 parsecs: unknown unit of time 'parsecs'"),
        ("window", "0s", "must be longer than 0"),
        ("slide", "10m", "slide 10m is longer than window 5m"),
        ("slide", "2m", "window 5m is not a whole multiple of slide 2m"),
        ("keep", "soon", "--keep soon: not a length of time"),
        ("time", "evnt", "event"),
        ("format", "combind", "combined"),
        ("url", "pth", "path"),
        ("timezone", "Mars/Olympus", "Mars/Olympus"),
        ("sink", "jsonl", "write --sink jsonl:PATH"),
        ("trigger", "-1s", "--trigger"),
        ("start", "middle", "middle"),
        ("top", "0", "--top"),
        ("max_events", "many", "--max-events"),
        ("tls_root_certificates", "/none.pem", "/none.pem"),
    ],
)
def test_an_option_that_cannot_be_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, value: str, says: str
) -> None:
    assert run(tmp_path, **{option: value}) == 2
    told = capsys.readouterr()
    assert says in told.err
    assert "Traceback" not in told.err
    assert told.out == ""
    assert not (tmp_path / "job").exists()


def test_an_unknown_option_and_an_unknown_job(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, windw="1m") == 2
    assert "--window" in capsys.readouterr().err
    assert main(["url-count"]) == 2


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["url-counts", "--help"]) == 0
    told = capsys.readouterr().out
    for option in ("--bridges", "--job-folder", "--window", "--slide", "--keep", "--max-rows", "--drain-to-file"):
        assert option in told
    assert "--watermark" not in told


def test_the_watermark_that_is_gone_is_refused_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, watermark="10m") == 2
    told = capsys.readouterr()
    assert told.err.startswith("error: --watermark is gone: URL counts have no watermark any more, every line counts ")
    assert told.err.endswith("To close old windows, see --keep and --max-rows\n")
    assert not (tmp_path / "job").exists()
