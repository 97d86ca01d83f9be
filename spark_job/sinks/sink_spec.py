"""Sinks by the words of ``--sink``: ``console``, ``jsonl:PATH``, ``parquet:PATH``, or the URL of a database."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from spark_job.errors import OptionError

if TYPE_CHECKING:
    from datetime import timedelta

    from spark_job.sinks.base import Sink
    from spark_job.sinks.counts_table.reader import CountsReader
    from spark_job.sinks.database import Target

DATABASE = "database"
KINDS = ("console", "jsonl", "parquet")


@dataclass(frozen=True)
class SinkChoice:
    """One ``--sink``, read but not opened: its kind and, for files, its path, for databases its URL."""

    kind: str
    path: Path | None = None
    url: str = ""

    def __str__(self) -> str:
        return self.url or (self.kind if self.path is None else f"{self.kind}:{self.path}")

    def target(self, password_file: Path | None, retry_for: timedelta) -> Target:
        """Return the database of a sink that is one.

        Raises:
            OptionError: it cannot be used.
        """
        from spark_job.sinks.database import parse_target

        try:
            return parse_target(self.url, password_file, retry_for)
        except OptionError as error:
            raise OptionError(f"--sink {error}") from None

    def open(self, table: CountsReader, *, top: int, password_file: Path | None, retry_for: timedelta) -> Sink:
        """Make the sink over a table.

        Args:
            table: what it shows.
            top: how many URLs of a window the console shows.
            password_file: file with the password of a database.
            retry_for: how long an outage of a database is waited for.

        Raises:
            OptionError: the database has a table that does not fit.
            SinkError: it cannot be written.
        """
        # A help text or a refused option needs none of the packages that sinks are made with.
        from spark_job.sinks.console import ConsoleSink
        from spark_job.sinks.database.counts_copy import MirrorSink
        from spark_job.sinks.jsonl import JsonLinesSink
        from spark_job.sinks.parquet import ParquetSink

        if self.kind == DATABASE:
            return MirrorSink(self.target(password_file, retry_for), table)
        if self.path is None:
            return ConsoleSink(top=top)
        return JsonLinesSink(self.path, table) if self.kind == "jsonl" else ParquetSink(self.path, table)


def parse_sink(text: str) -> SinkChoice:
    """Read one ``--sink``.

    Raises:
        OptionError: there is no such sink; its path is missing, of the wrong kind or in no folder; the URL cannot be
            used.
    """
    kind, colon, path_text = text.partition(":")
    if "://" in text:
        return SinkChoice(DATABASE, url=_checked(text))
    if kind not in KINDS:
        near = difflib.get_close_matches(kind.lower(), KINDS, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else "there are console, jsonl:PATH, parquet:PATH and database URLs"
        raise OptionError(f"--sink={text!r}: no sink is called {kind!r}; {hint}")
    if kind == "console":
        if colon:
            raise OptionError(f"--sink={text!r}: the console takes no path; write --sink console")
        return SinkChoice(kind)
    if not path_text:
        raise OptionError(f"--sink={text!r}: say where to; write --sink {kind}:PATH")
    path = Path(path_text).expanduser().absolute()
    if kind == "jsonl" and path.is_dir():
        raise OptionError(f"--sink={text!r}: {path} is a folder; name a file in it")
    if kind == "parquet" and path.exists() and not path.is_dir():
        raise OptionError(f"--sink={text!r}: {path} is a file; name a folder, one file for each window goes into it")
    if not path.parent.is_dir():
        raise OptionError(f"--sink={text!r}: there is no folder {path.parent}; make it first")
    return SinkChoice(kind, path)


def _checked(url: str) -> str:
    """Return a database's URL, its path absolute."""
    from spark_job.sinks.database import parse_target

    try:
        return str(parse_target(url))
    except OptionError as error:
        raise OptionError(f"--sink {error}") from None
