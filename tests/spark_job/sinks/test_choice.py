"""What ``--sink`` takes, and what it says to what it does not take."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from spark_job.errors import OptionError
from spark_job.sinks.choice import SinkChoice, parse_sink
from spark_job.sinks.console import ConsoleSink
from spark_job.sinks.jsonl import JsonLinesSink
from spark_job.sinks.parquet import ParquetSink
from spark_job.sinks.table import CountsTable

if TYPE_CHECKING:
    from pathlib import Path


def test_each_kind_opens_its_sink(tmp_path: Path) -> None:
    with CountsTable(tmp_path / "counts.db") as table:
        assert isinstance(parse_sink("console").open(table, top=3), ConsoleSink)
        assert isinstance(parse_sink(f"jsonl:{tmp_path}/a:b.jsonl").open(table, top=3), JsonLinesSink)
        assert isinstance(parse_sink(f"parquet:{tmp_path}/folder").open(table, top=3), ParquetSink)
    assert (tmp_path / "a:b.jsonl").exists()


def test_a_path_counts_from_where_the_command_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse_sink("jsonl:out.jsonl") == SinkChoice("jsonl", tmp_path / "out.jsonl")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("json:x", "did you mean jsonl"),
        ("Console", "did you mean console"),
        ("parket:x", "did you mean parquet"),
        ("postgresql://x", "there are console, jsonl:PATH and parquet:PATH"),
        ("", "there are console"),
        ("console:x", "takes no path"),
        ("jsonl", "write --sink jsonl:PATH"),
        ("parquet:", "write --sink parquet:PATH"),
        ("jsonl:.", "is a folder"),
        ("parquet:file", "is a file"),
        ("jsonl:none/x", "there is no folder"),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_hint(
    text: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(OptionError, match=says) as caught:
        parse_sink(text)
    assert f"--sink={text!r}" in str(caught.value)
