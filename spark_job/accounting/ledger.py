"""The ledger: what each micro-batch read, and how many of its lines are malformed or late.

==============================  ======================================================================================
part of an entry                comes from
==============================  ======================================================================================
the ranges of offsets           the plans of this micro-batch and the one before, in Spark's checkpoint
lost, malformed                 the audit files of these ranges
late, missed                    the audit's lines per pane and the watermark of the micro-batch *before*
                                (:mod:`.lateness` explains why)
too old, missed                 for counts that have no watermark: the audit, and what the results table says is closed
==============================  ======================================================================================

All but the last row depends on the range of the micro-batch alone, so a micro-batch that runs again gives the same
entry. Where retention closes windows, none runs again: each start begins a new query behind what is stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from headrace.common.durations import MICROSECOND
from spark_job.accounting.audit_file import read_audit
from spark_job.accounting.lateness import WATERMARK_OF_BATCH_0_MS, late_and_missed
from spark_job.ranges import LogRange

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from spark_job.accounting.lateness import Lateness
    from spark_job.accounting.spark_checkpoint import Checkpoint

US_PER_MS: Final = 1_000


@dataclass(frozen=True)
class LedgerEntry:
    """The lines that one micro-batch read, and what became of them as far as readers and watermark can tell.

    Attributes:
        query_id: the query that ran the micro-batch.
        batch_id: its number.
        ranges: what it read; logs of which it read nothing are left out.
        lost: events of the ranges that were gone or damaged; above zero only where the operator allowed data loss.
        malformed: lines that do not parse.
        late: lines of which no window was open.
        missed: pairs of a line that was counted and a window that was closed already.
        late_before_ms: the watermark that decided which lines were late.
        closed_before_ms: the watermark after the micro-batch: no later one can change a window that ends before it.
        too_old: lines of windows that retention has closed, where there is no watermark.
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
    too_old: int = 0

    @property
    def read(self) -> int:
        """Number of lines in the ranges that the bridges still had."""
        return sum(r.events for r in self.ranges) - self.lost


class Ledger:
    """Makes the entry of a micro-batch from the checkpoint and the audit files.

    Args:
        checkpoint: the query's checkpoint.
        audit: the folder that the source got as its option ``audit``.
        lateness: the windows of the query, or another rule for what is late.
        first_offset: asks the bridges where this consumer began to read a log; called once for each log.
        allow_loss: whether events may be missing from the audit; they are then counted as lost.
        closed_before_us: for counts without a watermark: the instant before which retention has closed all windows;
            it returns None while no window is closed.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        audit: Path,
        lateness: Lateness,
        first_offset: Callable[[str], int],
        *,
        allow_loss: bool = False,
        closed_before_us: Callable[[], int | None] | None = None,
    ) -> None:
        self._checkpoint = checkpoint
        self._audit = audit
        self._lateness = lateness
        self._first_offset = first_offset
        self._allow_loss = allow_loss
        self._closed_before_us = closed_before_us

    def entry(self, batch_id: int) -> LedgerEntry:
        """Return the entry of a micro-batch whose rows have been computed: its audit files are complete then.

        Raises:
            AccountingError: a file is missing, damaged, or does not cover the range of the micro-batch exactly once.
        """
        plan = self._checkpoint.planned(batch_id)
        before = self._checkpoint.planned(batch_id - 1) if batch_id else None
        # Spark writes a plan with the offsets where the micro-batch ends; it starts where the one before ended. A log
        # that is not in the plan before is new, and only the bridges know where it starts.
        starts = before.ends if before else {}
        late_before_ms = before.watermark_ms if before else WATERMARK_OF_BATCH_0_MS
        ranges = tuple(
            LogRange(log_id, starts[log_id] if log_id in starts else self._first_offset(log_id), end)
            for log_id, end in sorted(plan.ends.items())
        )
        pane_us = self._lateness.pane // MICROSECOND
        records = [
            record
            for log_range in ranges
            for record in read_audit(self._audit, log_range, pane_us, allow_loss=self._allow_loss)
        ]
        retained = self._closed_before_us is not None
        closed_us = self._closed_before_us() if self._closed_before_us else late_before_ms * US_PER_MS
        late = missed = 0
        if closed_us is not None:
            for record in records:
                more_late, more_missed = late_and_missed(record.panes, self._lateness, closed_us)
                late, missed = late + more_late, missed + more_missed
        return LedgerEntry(
            query_id=self._checkpoint.query_id() or "",
            batch_id=batch_id,
            ranges=tuple(r for r in ranges if r.events),
            # A planned range stays as it is when its events are gone; the audit has only what the readers got.
            lost=sum(r.events for r in ranges) - sum(record.events for record in records),
            malformed=sum(record.malformed for record in records),
            # The readers leave out lines that are too old. What the table leaves out besides is too old as well.
            late=0 if retained else late,
            too_old=sum(record.too_old for record in records) + (late if retained else 0),
            missed=missed,
            late_before_ms=late_before_ms,
            closed_before_ms=plan.watermark_ms,
        )
