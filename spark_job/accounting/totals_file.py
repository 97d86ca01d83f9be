"""``books.json``: the line totals of a job whose results table does not count lines.

The file holds the ledger entry of the newest micro-batch, the sums over all micro-batches, and the offset that each log
was read up to. It is replaced as a whole, and synced, after the results of a micro-batch are stored and before Spark
commits the micro-batch::

    the job is killed                          and on the next start
    before the results are stored              Spark runs the micro-batch again
    after that, before this file is replaced   Spark runs it again; the tables have it already; it is recorded here
    after that, before Spark commits           Spark runs it again; it is recorded here already: nothing changes
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

from headrace.common.files import replacing
from spark_job.accounting.ledger import LedgerEntry
from spark_job.accounting.tally import Tally
from spark_job.errors import AccountingError, sink_errors
from spark_job.ranges import LogRange

if TYPE_CHECKING:
    from pathlib import Path

TERMS: Final = ("read", "lost", "malformed", "late", "missed")


class TotalsFile:
    """The file in a job's folder: read once, then only written. It can stand for a table in :meth:`JobFolder.check`.

    Raises:
        AccountingError: the file is damaged, or is another file.
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
            raise AccountingError(f"{path}: not the line totals of a job: {error}") from None

    def owner(self) -> str | None:
        """Return the id of the query that ran the micro-batches; None before the first one."""
        return self._newest.query_id if self._newest is not None else None

    def newest_batch(self) -> int | None:
        """Return the number of the newest micro-batch; None before the first one."""
        return self._newest.batch_id if self._newest is not None else None

    def positions(self) -> dict[str, int]:
        """Return, by log id, the offset up to which all results are stored."""
        return dict(self._positions)

    def tally(self, hits: int | None, windows_per_line: int, *, final: bool) -> Tally:
        """Return the tally of all micro-batches.

        Args:
            hits: how many lines the results table counts; None if it cannot tell.
            windows_per_line: how often it counts a line.
            final: whether results are stored only when they are final: then a line that is in no other term is open.
                Otherwise it is missing, and the sum does not balance.
        """
        sums = {name: self._sums[name] for name in TERMS}
        rest = sums["read"] - sums["malformed"] - sums["late"]
        if hits is None:
            return Tally(**sums, hits=rest)
        tally = Tally(**sums, hits=hits, windows_per_line=windows_per_line)
        # Not below zero: if more lines are counted than are left, none is open, and the sum must not balance.
        return replace(tally, open=max(0, rest - tally.counted)) if final else tally

    def record(self, entry: LedgerEntry) -> None:
        """Add a micro-batch, unless it was added before.

        Raises:
            AccountingError: it does not follow the newest one, or differs from its first run.
            SinkError: the file cannot be written.
        """
        if self._newest is not None and entry.batch_id == self._newest.batch_id:
            if entry != self._newest:
                # Its results are stored already: adding the difference would describe what no table holds.
                raise AccountingError(f"{self.path}: micro-batch {entry.batch_id} differs from its first run")
            return
        if self._newest is not None and entry.batch_id < self._newest.batch_id:
            raise AccountingError(
                f"{self.path}: micro-batch {entry.batch_id} comes after micro-batch {self._newest.batch_id}"
            )
        for log_range in entry.ranges:
            reached = self._positions.get(log_range.log_id, log_range.start)
            if reached != log_range.start:
                raise AccountingError(
                    f"{self.path}: log {log_range.log_id} has been read up to offset {reached}, "
                    f"micro-batch {entry.batch_id} starts at {log_range.start}"
                )
            self._positions[log_range.log_id] = log_range.end
        for name in TERMS:
            self._sums[name] += getattr(entry, name)
        self._newest = entry
        self._write()

    def add_dropped_dead_letters(self, lines: int) -> None:
        """Count malformed lines whose text was not kept.

        Raises:
            SinkError: the file cannot be written.
        """
        self._sums["dropped_dead_letters"] += lines
        self._write()

    def _write(self) -> None:
        assert self._newest is not None  # noqa: S101 -- the lines are of a micro-batch that was recorded
        fields = {"newest": asdict(self._newest), "sums": self._sums, "positions": self._positions}
        with sink_errors(self.path), replacing(self.path) as file:
            file.write(json.dumps(fields, indent=2, sort_keys=True).encode())
