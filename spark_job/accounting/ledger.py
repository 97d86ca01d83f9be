"""The sum *lines read = counted + malformed + late*, with each term from a counter of its own.

==========  ==========================================================================================================
read        the offset ranges of the batches, from Spark's checkpoint
malformed   the audit files, which the readers write beside the rows that they return
late        the audit's lines per pane, held against the watermark that Spark used
counted     the hits in the table of results, that is, what Spark itself computed
==========  ==========================================================================================================

**Which lines are late.** Let ``T(n)`` be the watermark in the plan of batch ``n``. While batch ``n`` runs, Spark drops
the rows of windows that had ended by the watermark of the batch *before*, ``window_end <= T(n-1)``, and forgets the
windows that have ended by its own, ``window_end <= T(n)``, after it has updated them. So a window that ends between the
two takes rows one last time. (Two watermarks are needed where stateful operators are chained,
``spark.sql.streaming.statefulOperator.allowMultiple``, which is on; 4.3.0 does the same with a single operator.)
Batch 0 has no batch before it; its rows are held against a watermark of 0, the epoch. All of this was found by running
it, and ``tests/spark_job/accounting/test_lateness_in_spark.py`` runs it again.

**Lines that miss some of their windows.** With overlapping windows a line can come too late for the older ones and in
time for the newer ones. It counts as counted; each window that it missed is one *missed pair*. With ``k`` windows a
line::

    hits in the table  =  k * counted  -  missed pairs          hence  counted = (hits + missed) / k

**Results that come when they are final.** In append mode Spark keeps a line until nothing can change the result that it
is part of: until then the line is neither counted nor late, but *open*. Open lines are what is left of the sum, so they
are told apart from lost ones only at the end of a bounded run, where there are none.

All audit numbers depend on the range of the batch alone, so a batch that runs again gives the same entry.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from headrace.common.durations import MICROSECOND
from spark_job.errors import AccountingError
from spark_job.ranges import LogRange

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from spark_job.accounting.spark_checkpoint import Checkpoint

WATERMARK_OF_BATCH_0_MS = 0
US_PER_MS = 1_000


class Lateness(Protocol):
    """How a query decides which lines are late; :class:`spark_job.windows.Windows` is one."""

    @property
    def pane(self) -> timedelta:
        """How finely lines are audited: lines of one pane are late together."""

    @property
    def per_line(self) -> int:
        """In how many results a line is."""

    def open_for(self, pane_start_us: int, watermark_us: int) -> int:
        """Return how many of these can still change at a watermark."""


@dataclass(frozen=True)
class SessionLateness:
    """A line alone is a session that ends ``gap`` after it, and is late once that is behind the watermark."""

    gap: timedelta
    pane: timedelta = MICROSECOND
    per_line: int = 1

    def open_for(self, pane_start_us: int, watermark_us: int) -> int:
        """Return 1 while the line can still begin or join a session, else 0."""
        return int(pane_start_us + self.gap // MICROSECOND > watermark_us)


@dataclass(frozen=True)
class NeverLate:
    """Of a query without a watermark."""

    pane: timedelta = timedelta(hours=1)
    per_line: int = 1

    def open_for(self, _pane_start_us: int, _watermark_us: int) -> int:
        """Return 1: nothing closes."""
        return 1


@dataclass(frozen=True)
class LedgerEntry:
    """What one batch read, and what became of it as far as the readers and the watermark can tell.

    ``lost`` are events of its ranges that were gone or damaged; above zero only where the operator allowed data loss.
    ``late_before_ms`` is the watermark that decided which lines were late; ``closed_before_ms`` the one after which no
    batch can change a window any more.
    """

    query_id: str
    batch_id: int
    ranges: tuple[LogRange, ...]
    lost: int
    malformed: int
    late: int
    missed: int
    late_before_ms: int
    closed_before_ms: int

    @property
    def read(self) -> int:
        """Return the number of lines in the batch's ranges that the bridges still had."""
        return sum(r.events for r in self.ranges) - self.lost


@dataclass(frozen=True)
class Tally:
    """The sum over all batches so far. ``hits`` is from the table, ``open`` what is left, the rest from the ledger."""

    read: int = 0
    lost: int = 0
    malformed: int = 0
    late: int = 0
    missed: int = 0
    hits: int = 0
    windows_per_line: int = 1
    open: int = 0

    @property
    def counted(self) -> int:
        """Return how many lines are in at least one window, as the table of results has it."""
        return (self.hits + self.missed) // self.windows_per_line

    @property
    def balanced(self) -> bool:
        """Whether each line that was read is accounted for, once."""
        whole = (self.hits + self.missed) % self.windows_per_line == 0
        return whole and self.read == self.counted + self.malformed + self.late + self.open

    def __str__(self) -> str:
        sign = "=" if self.balanced else "\N{NOT EQUAL TO}"
        terms = f"counted {self.counted:,} + malformed {self.malformed:,} + late {self.late:,}"
        still_open = f" + open {self.open:,}" if self.open else ""
        return f"lines read {self.read:,} {sign} {terms}{still_open}"

    def as_json(self) -> dict[str, int | bool]:
        """Return the terms and the verdict for a file."""
        return {
            "read": self.read,
            "lost": self.lost,
            "counted": self.counted,
            "malformed": self.malformed,
            "late": self.late,
            "missed": self.missed,
            "hits": self.hits,
            "windows_per_line": self.windows_per_line,
            "open": self.open,
            "balanced": self.balanced,
        }


class Ledger:
    """Makes the entry of a batch out of the checkpoint and the audit files.

    Args:
        checkpoint: the query's checkpoint.
        audit: the folder that the source was given as its option ``audit``.
        windows: the windows that the query counts in, or how else it decides what is late.
        first_offset: asks the bridges where this consumer began to read a log; used once for each log.
        allow_loss: whether events may be missing from the audit; they are booked as lost.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        audit: Path,
        windows: Lateness,
        first_offset: Callable[[str], int],
        *,
        allow_loss: bool = False,
    ) -> None:
        self._checkpoint = checkpoint
        self._audit = audit
        self._windows = windows
        self._first_offset = first_offset
        self._allow_loss = allow_loss

    def entry(self, batch_id: int) -> LedgerEntry:
        """Return the entry of a batch whose rows have been computed, so that its audit files are complete.

        Raises:
            AccountingError: a file is missing, damaged, or does not cover the batch's range exactly once.
        """
        plan = self._checkpoint.planned(batch_id)
        before = self._checkpoint.planned(batch_id - 1) if batch_id else None
        starts = before.ends if before else {}
        late_before_ms = before.watermark_ms if before else WATERMARK_OF_BATCH_0_MS
        ranges = tuple(
            LogRange(log_id, starts[log_id] if log_id in starts else self._first_offset(log_id), end)
            for log_id, end in sorted(plan.ends.items())
        )
        pane_us = self._windows.pane // MICROSECOND
        parts = [
            part
            for log_range in ranges
            for part in read_parts(self._audit, log_range, pane_us, allow_loss=self._allow_loss)
        ]
        late = missed = 0
        for part in parts:
            for pane_start_us, lines in part.panes.items():
                still_open = self._windows.open_for(pane_start_us, late_before_ms * US_PER_MS)
                late += 0 if still_open else lines
                missed += (self._windows.per_line - still_open) * lines if still_open else 0
        return LedgerEntry(
            query_id=self._checkpoint.query_id() or "",
            batch_id=batch_id,
            ranges=tuple(r for r in ranges if r.start != r.end),
            lost=sum(r.events for r in ranges) - sum(part.events for part in parts),
            malformed=sum(part.malformed for part in parts),
            late=late,
            missed=missed,
            late_before_ms=late_before_ms,
            closed_before_ms=plan.watermark_ms,
        )


def read_parts(audit: Path, wanted: LogRange, pane_us: int, *, allow_loss: bool = False) -> Iterator[AuditPart]:
    """Yield the audit of a range part by part in order, after the check that they join, cover it and lost nothing.

    Raises:
        AccountingError: a file is missing, damaged, or does not cover the range exactly once.
    """
    folder = _audit_folder(audit, wanted, allow_loss=allow_loss)
    reached = wanted.start
    for part in sorted((read_part(path) for path in folder.glob("*.json")), key=lambda part: part.start):
        gap = part.start > reached or part.events < part.end - part.start
        if part.start < reached or (gap and not allow_loss):
            raise AccountingError(
                f"{folder}: the audit is at offset {reached}, its next part has {part.events} events of the range "
                f"{part.start} to {part.end}"
            )
        if part.log_id != wanted.log_id or part.pane_us != pane_us:
            raise AccountingError(f"{folder}: the audit is of another log, or not of panes of {pane_us} us")
        reached = part.end
        yield part
    if reached > wanted.end or (reached < wanted.end and not allow_loss):
        raise AccountingError(f"{folder}: the audit ends at offset {reached}, the batch at {wanted.end}")


def _audit_folder(audit: Path, wanted: LogRange, *, allow_loss: bool) -> Path:
    """Return the audit folder of a range.

    A range whose beginning was lost is audited under the name of what was left of it, which may be less each time.
    """
    folder = audit / wanted.log_id
    starts = [wanted.start]
    if allow_loss:
        found = (int(path.name.partition("-")[0]) for path in folder.glob(f"*-{wanted.end}"))
        starts += [start for start in found if start > wanted.start]
    return folder / f"{max(starts)}-{wanted.end}"


@dataclass(frozen=True)
class AuditPart:
    """What the reader of one partition says of its lines: how many are malformed, and how the others spread over panes.

    ``events`` is below the length of the range only where data loss was allowed. ``panes`` maps the start of a pane, in
    microseconds since the epoch, to its number of lines.
    """

    log_id: str
    start: int
    end: int
    events: int
    malformed: int
    pane_us: int
    panes: dict[int, int]


def read_part(path: Path) -> AuditPart:
    """Read one audit file.

    Raises:
        AccountingError: it is damaged, or its lines do not add up to its range.
    """
    try:
        fields = json.loads(path.read_bytes())
        part = AuditPart(
            log_id=str(fields["log_id"]),
            start=int(fields["start"]),
            end=int(fields["end"]),
            events=int(fields["events"]),
            malformed=int(fields["malformed"]),
            pane_us=int(fields["pane_us"]),
            panes={int(start): int(lines) for start, lines in fields["panes"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise AccountingError(f"{path}: not an audit of a partition: {error}") from None
    if part.malformed + sum(part.panes.values()) != part.events or part.events > part.end - part.start:
        raise AccountingError(f"{path}: its lines do not add up to its {part.events} events")
    return part
