"""Parses ``--sink``: ``console``, ``jsonl:PATH``, ``parquet:PATH``, or the URL of a database."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.common.suggest import did_you_mean
from spark_job.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta

    from spark_job.sinks.base import Sink
    from spark_job.sinks.counts_table.reader import CountsReader
    from spark_job.sinks.database import DatabaseUrl

DATABASE = "database"
KINDS = ("console", "jsonl", "parquet")


@dataclass(frozen=True)
class SinkSpec:
    """One ``--sink``, parsed but not opened: its kind, and the path of a file or the URL of a database."""

    kind: str
    path: Path | None = None
    url: str = ""

    def __str__(self) -> str:
        return self.url or (self.kind if self.path is None else f"{self.kind}:{self.path}")

    def database_url(self, password_file: Path | None, retry_for: timedelta) -> DatabaseUrl:
        """Return the database that this sink names.

        Raises:
            OptionError: it cannot be used.
        """
        from spark_job.sinks.database import parse_database_url

        try:
            return parse_database_url(self.url, password_file, retry_for)
        except OptionError as error:
            raise OptionError(f"--sink {error}") from None

    def open(
        self,
        table: CountsReader,
        *,
        top: int,
        password_file: Path | None,
        retry_for: timedelta,
        adopt: bool = False,
    ) -> Sink:
        """Open the sink for a results table.

        Args:
            table: the table that it copies.
            top: how many URLs of a window the console shows.
            password_file: file with the password of a database.
            retry_for: how long to retry while a database is away.
            adopt: whether to take the table in a database from another job that owns it.

        Raises:
            OptionError: the table in the database does not fit, or belongs to another job.
            SinkError: it cannot be written.
        """
        # Imported here: help texts and refused options must not wait for the packages that sinks need.
        from spark_job.sinks.console import ConsoleSink
        from spark_job.sinks.database.counts_copy import CountsCopySink
        from spark_job.sinks.jsonl import JsonLinesSink
        from spark_job.sinks.parquet import ParquetSink

        if self.kind == DATABASE:
            return CountsCopySink(self.database_url(password_file, retry_for), table, adopt=adopt)
        if self.path is None:
            return ConsoleSink(top=top)
        return JsonLinesSink(self.path, table) if self.kind == "jsonl" else ParquetSink(self.path, table)


def parse_sink(text: str) -> SinkSpec:
    """Parse one ``--sink``.

    Raises:
        OptionError: the kind is unknown; the path is missing, of the wrong kind or in a folder that does not exist; or
            the URL cannot be used.
    """
    kind, colon, path_text = text.partition(":")
    if "://" in text:
        return SinkSpec(DATABASE, url=_checked(text))
    if kind not in KINDS:
        hint = did_you_mean(kind, KINDS, "the sinks are console, jsonl:PATH, parquet:PATH and database URLs")
        raise OptionError(f"--sink={text!r}: no sink is called {kind!r}{hint}")
    if kind == "console":
        if colon:
            raise OptionError(f"--sink={text!r}: the console takes no path; write --sink console")
        return SinkSpec(kind)
    if not path_text:
        raise OptionError(f"--sink={text!r}: the path is missing; write --sink {kind}:PATH")
    path = Path(path_text).expanduser().absolute()
    if kind == "jsonl" and path.is_dir():
        raise OptionError(f"--sink={text!r}: {path} is a folder; name a file in it")
    if kind == "parquet" and path.exists() and not path.is_dir():
        raise OptionError(f"--sink={text!r}: {path} is a file; name a folder, which gets one file per window")
    if not path.parent.is_dir():
        raise OptionError(f"--sink={text!r}: the folder {path.parent} does not exist; make it first")
    return SinkSpec(kind, path)


def refuse_parquet(sinks: Iterable[SinkSpec]) -> None:
    """Refuse the sink that only the results table can fill, for jobs with other columns.

    Raises:
        OptionError: names the sink.
    """
    for sink in sinks:
        if sink.kind == "parquet":
            raise OptionError(
                f"--sink={str(sink)!r}: Parquet files are for url-counts; this job writes to console, jsonl:PATH and "
                "databases"
            )


def _checked(url: str) -> str:
    """Return the URL of a database after a check, with an absolute path."""
    from spark_job.sinks.database import parse_database_url

    try:
        return str(parse_database_url(url))
    except OptionError as error:
        raise OptionError(f"--sink {error}") from None
