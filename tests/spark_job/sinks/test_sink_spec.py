"""What ``--sink`` takes, and what it says to what it does not take."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from spark_job.errors import OptionError
from spark_job.sinks.console import ConsoleSink
from spark_job.sinks.counts_table.writer import CountsTable
from spark_job.sinks.database.counts_copy import CountsCopySink
from spark_job.sinks.jsonl import JsonLinesSink
from spark_job.sinks.parquet import ParquetSink
from spark_job.sinks.sink_spec import SinkSpec, parse_sink

if TYPE_CHECKING:
    from pathlib import Path


OPENING: dict[str, Any] = {"top": 3, "password_file": None, "retry_for": timedelta(0)}


def test_each_kind_opens_its_sink(tmp_path: Path) -> None:
    with CountsTable(tmp_path / "counts.db") as table:
        assert isinstance(parse_sink("console").open(table, **OPENING), ConsoleSink)
        assert isinstance(parse_sink(f"jsonl:{tmp_path}/a:b.jsonl").open(table, **OPENING), JsonLinesSink)
        assert isinstance(parse_sink(f"parquet:{tmp_path}/folder").open(table, **OPENING), ParquetSink)
        mirror = parse_sink(f"sqlite:///{tmp_path}/mirror.db").open(table, **OPENING)
        assert isinstance(mirror, CountsCopySink)
        mirror.close()
    assert (tmp_path / "a:b.jsonl").exists()


def test_a_path_counts_from_where_the_command_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse_sink("jsonl:out.jsonl") == SinkSpec("jsonl", tmp_path / "out.jsonl")
    assert str(parse_sink("sqlite:///out.db")) == f"sqlite:///{tmp_path / 'out.db'}"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("json:x", "did you mean 'jsonl'"),
        ("Console", "did you mean 'console'"),
        ("parket:x", "did you mean 'parquet'"),
        ("database", "the sinks are console, jsonl:PATH, parquet:PATH and database URLs"),
        ("", "the sinks are console"),
        ("console:x", "takes no path"),
        ("jsonl", "write --sink jsonl:PATH"),
        ("parquet:", "write --sink parquet:PATH"),
        ("jsonl:.", "is a folder"),
        ("parquet:file", "is a file"),
        ("jsonl:none/x", "does not exist; make it first"),
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


@pytest.mark.parametrize(
    "url", ["postgres://x/y", "postgresql://user:secret@host/db", "sqlite://x/y", "mariadb://host"]
)
def test_a_database_that_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises(OptionError, match=r"^--sink ") as caught:
        parse_sink(url)
    assert "secret" not in str(caught.value)
