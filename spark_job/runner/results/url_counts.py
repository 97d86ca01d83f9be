"""The results of the URL counts: the table of windows and URLs, and the sinks that copy from it."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spark_job.accounting.open_panes import write_open_from
from spark_job.sinks.base import ChangedWindows
from spark_job.sinks.counts_table.writer import CountsTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    import pyarrow as pa

    from spark_job.accounting.ledger import LedgerEntry
    from spark_job.accounting.tally import Tally
    from spark_job.sinks.base import Sink
    from spark_job.sinks.counts_table.retention import Retention
    from spark_job.windows import Windows


@dataclass(frozen=True)
class UrlCounting:
    """Which windows are counted, and which of them are closed."""

    windows: Windows
    retention: Retention


class UrlCountResults:
    """The table and its sinks; a context manager.

    The audit folder gets a file that tells the readers of the next micro-batch which lines are too old.

    Args:
        path: file of the table.
        counting: which windows are counted and kept.
        audit: the folder that the readers know.
        open_sinks: opens the sinks of the table.

    Raises:
        OptionError: a sink cannot be used.
        SinkError: the table or a sink cannot be opened.
        JobFolderError: another version of Headrace made the table.
    """

    count_is_old = False

    def __init__(
        self,
        path: Path,
        counting: UrlCounting,
        audit: Path,
        open_sinks: Callable[[CountsTable], Iterable[Sink]],
    ) -> None:
        self._windows = counting.windows
        self._audit = audit
        with ExitStack() as opened:
            self.table = opened.enter_context(CountsTable(path, counting.windows.per_line, counting.retention))
            self._sinks = [opened.enter_context(closing(sink)) for sink in open_sinks(self.table)]
            self._tell_readers()
            self._opened = opened.pop_all()

    @property
    def later(self) -> Sequence[Callable[[], None]]:
        """Functions that write what micro-batches put off, one for each sink."""
        return [sink.write_if_due for sink in self._sinks]

    def tally(self, *, now: bool = True) -> Tally:  # noqa: ARG002 -- the table keeps the sum of each window
        """Return the terms of the sum."""
        return self.table.tally()

    def record(self, entry: LedgerEntry, rows: pa.Table) -> Callable[[Tally], None]:
        """Add a micro-batch to the table, unless it is stored already; return what hands it to the sinks.

        Raises:
            AccountingError: it does not begin where the table stands, or differs from its first run.
            SinkError: it cannot be stored.
        """
        changed = self.table.record(entry, rows)
        self._tell_readers()

        def show(tally: Tally) -> None:
            for sink in self._sinks:
                sink.write(ChangedWindows(entry, changed, tally, self.table))

        return show

    def _tell_readers(self) -> None:
        closed_us = self.table.closed_before_us()
        write_open_from(self._audit, None if closed_us is None else self._windows.open_from_us(closed_us))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Sinks first: what they put off is written from the table, which closes after them.
        self._opened.__exit__(kind, error, trace)
