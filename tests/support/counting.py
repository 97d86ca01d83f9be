"""The job ``url-counts`` inside a test: the real bridge log, source, query, ledger and table, stepped by hand."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from spark_job.jobs.options import UrlCountsOptions
from spark_job.jobs.url_counts import JOB
from spark_job.runner.job_folder import JobFolder
from spark_job.runner.job_settings import JobSettings
from spark_job.runner.results.url_counts import UrlCounting, UrlCountResults
from spark_job.runner.structured.beginning import begin
from spark_job.runner.structured.stream import make_writer, start_query
from spark_job.sinks.counts_table.retention import Retention
from spark_job.source.bridge_client import RetryPolicy
from spark_job.source.bridges import Bridges
from spark_job.windows import Windows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Self

    from pyspark.sql import SparkSession

    from spark_job.accounting.ledger import LedgerEntry
    from spark_job.sinks.base import ChangedWindows
    from tests.support.bridges import RealBridge

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def line(second: int, url: str = "/") -> bytes:
    """Return a line of the combined format at a second since the epoch."""
    instant = EPOCH + timedelta(seconds=second)
    return f'10.0.0.1 - - [{instant:%d/%b/%Y:%H:%M:%S} +0000] "GET {url} HTTP/1.1" 200 100 "-" "test"'.encode()


class Recorder:
    """A sink that keeps the ledger entries that it is shown, and fails on request."""

    def __init__(self) -> None:
        self.entries: list[LedgerEntry] = []
        self.fail_in_batch: int | None = None

    def write(self, changed: ChangedWindows) -> None:
        """Keep the entry; fail when this is the batch for it: the table has it then, Spark's commit log has not."""
        self.entries.append(changed.entry)
        if changed.entry.batch_id == self.fail_in_batch:
            raise RuntimeError("crash on purpose")

    def write_if_due(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


def url_count_results(
    folder: Path, sink: Recorder, retention: Retention | None = None, length: timedelta = timedelta(minutes=1)
) -> UrlCountResults:
    """Return the results of URL counts in a folder, with one sink."""
    counting = UrlCounting(Windows(length, length), retention or Retention())
    (folder / "audit").mkdir(exist_ok=True)
    return UrlCountResults(folder / "counts.db", counting, folder / "audit", lambda _table: [sink])


class CountingQuery:
    """One query over one bridge, in a job folder; a context manager. The same folder may be opened again."""

    def __init__(
        self, spark: SparkSession, bridge: RealBridge, folder: Path, windows: Windows, *, max_events: int = 10_000
    ) -> None:
        self.bridge = bridge
        self.recorder = Recorder()
        self.settings = JobSettings(
            bridges=bridge.address, job_folder=folder, max_events=max_events, trigger=timedelta(0)
        ).of_job("url-counts")
        options = UrlCountsOptions(window=windows.length, slide=windows.slide)
        self.folder = JobFolder(folder)
        counting = UrlCounting(windows, options.retention)
        self.results = UrlCountResults(self.folder.counts, counting, self.folder.audit, lambda _table: [self.recorder])
        self.table = self.results.table
        flume = JOB.flume_options(JOB.source_options(self.settings, options))
        self._bridges = Bridges(flume, RetryPolicy(5.0))
        beginning = begin(flume, self.settings, self.folder.checkpoint, self.results)
        given = (JOB, self.settings, options, self.folder)
        self.writer = make_writer(*given, self._bridges, self.results, beginning)
        self.query = start_query(*given, spark, beginning, self.writer)

    def feed(self, lines: Sequence[bytes]) -> LedgerEntry:
        """Store lines at the bridge, let the query read them, and return the ledger entry of the newest batch."""
        self.bridge.extend(lines)
        self.query.processAllAvailable()
        return self.recorder.entries[-1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with closing(self._bridges), self.results:
            self.query.stop()


def forget_newest_commit(folder: Path) -> int:
    """Delete Spark's newest commit entry, as if the driver had been killed before it; return its batch."""
    commits = folder / "checkpoint" / "commits"
    newest = max(int(path.name) for path in commits.glob("[0-9]*"))
    (commits / str(newest)).unlink()
    (commits / f".{newest}.crc").unlink(missing_ok=True)
    return newest
