"""Makes the ledger entry of a DStream batch: its ranges from the plans, its numbers of lines from the audit files.

Between two slides a batch has no result, and its lines belong to the next one. So the entry of a stored batch is that
of all batches after the one that was stored before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spark_job.accounting.audit_file import read_audit
from spark_job.accounting.ledger import LedgerEntry
from spark_job.runner.dstreams.part_reader import AUDIT_PANE_US
from spark_job.source.offsets import ranges_between

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from spark_job.runner.dstreams.batch_plans import BatchPlan


def entry_of(
    plans: Sequence[BatchPlan], query_id: str, audit: Path, *, allow_loss: bool = False
) -> tuple[LedgerEntry, int]:
    """Return the entry of the last of some batches that join, and how many lines of all of them are counted.

    Args:
        plans: at least one, oldest first; their rows have been computed, so their audit files are complete.
        query_id: the id of the results.
        audit: the folder of the audit files.
        allow_loss: whether events may be missing from the audit; they count as lost.

    Raises:
        AccountingError: a file is missing, damaged, or does not cover its range exactly once.
    """
    starts: dict[str, int] = {}
    ends: dict[str, int] = {}
    read = counted = malformed = 0
    for plan in plans:
        starts, ends = plan.starts | starts, ends | plan.ends
        # Range by range, since the tasks of a batch wrote their files under the range of that batch.
        for log_range in plan.ranges:
            for record in read_audit(audit, log_range, AUDIT_PANE_US, allow_loss=allow_loss):
                read += record.events
                counted += sum(record.panes.values())
                malformed += record.malformed
    ranges = tuple(ranges_between(starts, ends))
    entry = LedgerEntry(
        query_id=query_id,
        batch_id=plans[-1].time_ms,
        ranges=ranges,
        lost=sum(log_range.events for log_range in ranges) - read,
        malformed=malformed,
        # A line belongs to the batch that reads it, so none is late and no window closes before it.
        late=0,
        missed=0,
        late_before_ms=0,
        closed_before_ms=0,
    )
    return entry, counted
