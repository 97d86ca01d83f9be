"""Records in an SQLite results table which micro-batches it holds: in the transaction that stores their rows.

::

    table_state   table_id        names the results in the ledgers of databases, also over a new query
                  next_sequence   number of the next micro-batch, counted over all queries
    batches       the newest micro-batches: query, number, ranges of offsets, terms of the sum
    positions     the offset up to which the results hold each log
    totals        sums over all micro-batches, by name

The results and these tables are one file, and change in one transaction. So whatever a kill or a power cut takes away,
the positions say exactly which lines the rows are of.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from spark_job.errors import AccountingError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from spark_job.accounting.ledger import LedgerEntry

KEPT_BATCHES = 1_000


class BatchRecords:
    """The records of one file, over one connection. The caller begins and ends the transactions.

    Args:
        path: the file, for messages.
        execute: runs a statement with its parameters and returns a cursor.
        terms: what each micro-batch adds to the totals: attributes of its ledger entry.
    """

    def __init__(self, path: Path, execute: Callable[[str, tuple[Any, ...]], Any], terms: Sequence[str]) -> None:
        self._path = path
        self._execute = execute
        self._terms = tuple(terms)

    def table_id(self) -> str:
        """Return the id of the results, which names them in the ledgers of databases."""
        return str(self.state("table_id"))

    def next_sequence(self) -> int:
        """Return the number that the next micro-batch gets: how many were ever stored."""
        return int(self.state("next_sequence"))

    def state(self, name: str) -> Any:
        """Return a column of ``table_state``."""
        return self._execute(f"SELECT {name} FROM table_state", ()).fetchone()[0]  # noqa: S608 -- no text from outside

    def positions(self) -> dict[str, int]:
        """Return log id to the offset up to which the results hold the log."""
        return dict(self._execute("SELECT log_id, next_offset FROM positions", ()).fetchall())

    def total(self, name: str) -> int:
        """Return a sum over all micro-batches."""
        return int(self._execute("SELECT value FROM totals WHERE name = ?", (name,)).fetchone()[0])

    def add(self, **amounts: int) -> None:
        """Add to some of the totals."""
        for name, amount in amounts.items():
            self._execute("UPDATE totals SET value = value + ? WHERE name = ?", (amount, name))

    def skip_lost(self, starts: Mapping[str, int]) -> None:
        """Count the events as lost between what the results hold and where the next query starts.

        Args:
            starts: log id to offset; not below what the results hold.
        """
        for log_id, reached in self.positions().items():
            start = starts.get(log_id, reached)
            if start > reached:
                self.add(lost=start - reached)
                self._execute("UPDATE positions SET next_offset = ? WHERE log_id = ?", (start, log_id))

    def newest(self) -> tuple[str, int] | None:
        """Return query and number of the newest micro-batch; None before the first."""
        found = self._execute("SELECT query_id, batch_id FROM batches ORDER BY sequence DESC LIMIT 1", ()).fetchone()
        return None if found is None else (str(found[0]), int(found[1]))

    def holds(self, entry: LedgerEntry) -> bool:
        """Say whether a micro-batch is stored.

        Raises:
            AccountingError: it is stored and was different then.
        """
        stored = self._execute(
            f"SELECT ranges, {', '.join(self._terms)} FROM batches WHERE query_id = ? AND batch_id = ?",  # noqa: S608
            (entry.query_id, entry.batch_id),
        ).fetchone()
        again = (ranges_text(entry), *(getattr(entry, name) for name in self._terms))
        if stored is not None and tuple(stored) != again:
            raise AccountingError(
                f"{self._path}: micro-batch {entry.batch_id} of query {entry.query_id} was stored as (ranges, "
                f"{', '.join(self._terms)}) = {tuple(stored)} and came again as {again}; the lines of its range have "
                "changed"
            )
        return stored is not None

    def record(self, entry: LedgerEntry) -> None:
        """Record a new micro-batch: its ranges join what the results hold, its terms are added to the totals.

        Raises:
            AccountingError: it does not begin where the results end.
        """
        known = self.positions()
        for log_range in entry.ranges:
            reached = known.get(log_range.log_id, log_range.start)
            if reached != log_range.start:
                raise AccountingError(
                    f"{self._path}: log {log_range.log_id} is counted up to offset {reached}, micro-batch "
                    f"{entry.batch_id} of query {entry.query_id} covers offsets {log_range.start} to {log_range.end}"
                )
            self._execute("INSERT OR REPLACE INTO positions VALUES (?, ?)", (log_range.log_id, log_range.end))
        terms = {name: int(getattr(entry, name)) for name in self._terms}
        sequence = self.next_sequence()
        self._execute(
            f"INSERT INTO batches (sequence, query_id, batch_id, ranges, {', '.join(terms)}) "  # noqa: S608
            f"VALUES ({', '.join('?' * (4 + len(terms)))})",
            (sequence, entry.query_id, entry.batch_id, ranges_text(entry), *terms.values()),
        )
        self._execute("UPDATE table_state SET next_sequence = ?", (sequence + 1,))
        self._execute("DELETE FROM batches WHERE sequence <= ?", (sequence - KEPT_BATCHES,))
        self.add(**terms)


def ranges_text(entry: LedgerEntry) -> str:
    """Return the ranges of a micro-batch in the form in which they are stored."""
    return json.dumps({each.log_id: [each.start, each.end] for each in entry.ranges}, sort_keys=True)
