"""The books of a job whose results go into tables that know nothing of lines: what was read, and what became of it.

``books.json`` holds the newest batch with its ledger entry, the sums over all batches and the offset that each log was
read up to. It is replaced whole, on disk, after the results of a batch are stored and before Spark commits the batch::

    killed                                     and on the next start
    before the results are stored              Spark runs the batch again
    after that, before the books are           Spark runs the batch again; the tables know it already; it is booked
    after that, before Spark commits           Spark runs the batch again; it is in the books: nothing changes
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from headrace.common.files import replacing
from spark_job.accounting.ledger import LedgerEntry, Tally
from spark_job.errors import AccountingError, sink_errors
from spark_job.ranges import LogRange

if TYPE_CHECKING:
    from pathlib import Path

TERMS = ("read", "lost", "malformed", "late", "missed")


class Books:
    """The file in a job's folder, read once and then written only. Has what :meth:`JobFolder.check` asks of a table.

    Raises:
        AccountingError: the file is there and is not such a file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._newest: LedgerEntry | None = None
        self._sums = dict.fromkeys((*TERMS, "dropped_dead_letters"), 0)
        self._positions: dict[str, int] = {}
        try:
            fields: dict[str, Any] = json.loads(path.read_bytes())
            newest = fields["newest"]
            ranges = tuple(LogRange(**each) for each in newest.pop("ranges"))
            self._newest = LedgerEntry(ranges=ranges, **newest)
            self._sums |= {name: int(value) for name, value in fields["sums"].items()}
            self._positions = {str(log_id): int(end) for log_id, end in fields["positions"].items()}
        except FileNotFoundError:
            pass
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise AccountingError(f"{path}: not the books of a job: {error}") from None

    def owner(self) -> str | None:
        """Return the id of the query whose batches these are; None before its first."""
        return self._newest.query_id if self._newest is not None else None

    def newest_batch(self) -> int | None:
        """Return the number of the newest batch; None before the first."""
        return self._newest.batch_id if self._newest is not None else None

    def positions(self) -> dict[str, int]:
        """Return log id to the offset up to which all is stored."""
        return dict(self._positions)

    def tally(self, hits: int | None, windows_per_line: int, *, final: bool) -> Tally:
        """Return the sum.

        Args:
            hits: what the table of results counts; None where it cannot tell.
            windows_per_line: how often it counts a line.
            final: whether results come only when they are final. Otherwise each line that was read and has become
                nothing is missing.
        """
        sums = {name: self._sums[name] for name in TERMS}
        rest = sums["read"] - sums["malformed"] - sums["late"]
        if hits is None:
            return Tally(**sums, hits=rest)
        tally = Tally(**sums, hits=hits, windows_per_line=windows_per_line)
        return replace(tally, open=max(0, rest - tally.counted)) if final else tally

    def record(self, entry: LedgerEntry) -> None:
        """Book a batch, unless it is in the books.

        Raises:
            AccountingError: it does not follow the newest one, or differs from its first run.
            SinkError: the file cannot be written.
        """
        if self._newest is not None and entry.batch_id == self._newest.batch_id:
            if entry != self._newest:
                raise AccountingError(f"{self.path}: batch {entry.batch_id} differs from its first run")
            return
        if self._newest is not None and entry.batch_id < self._newest.batch_id:
            raise AccountingError(f"{self.path}: batch {entry.batch_id} comes after batch {self._newest.batch_id}")
        for log_range in entry.ranges:
            reached = self._positions.get(log_range.log_id, log_range.start)
            if reached != log_range.start:
                raise AccountingError(
                    f"{self.path}: log {log_range.log_id} has been read up to offset {reached}, "
                    f"batch {entry.batch_id} starts at {log_range.start}"
                )
            self._positions[log_range.log_id] = log_range.end
        for name in TERMS:
            self._sums[name] += getattr(entry, name)
        self._newest = entry
        self._write()

    def add_dropped_dead_letters(self, lines: int) -> None:
        """Count malformed lines whose text was not kept; written with the next batch."""
        self._sums["dropped_dead_letters"] += lines

    def _write(self) -> None:
        assert self._newest is not None  # noqa: S101 -- only record calls this
        fields = {"newest": asdict(self._newest), "sums": self._sums, "positions": self._positions}
        with sink_errors(self.path), replacing(self.path) as file:
            file.write(json.dumps(fields, indent=2, sort_keys=True).encode())
