"""Reads ``books.json``, in which earlier versions kept the line totals of a structured job.

The file has the ledger entry of the newest micro-batch, the sums over all micro-batches, and the offset that each log
was read up to. It was replaced after the results of a micro-batch were stored: so the results may be one micro-batch
ahead of it. Now these numbers are in the results table, and change with the rows.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from spark_job.accounting.ledger import LedgerEntry
from spark_job.errors import AccountingError
from spark_job.ranges import LogRange

if TYPE_CHECKING:
    from pathlib import Path

TERMS: Final = ("read", "lost", "malformed", "late", "missed", "dropped_dead_letters")


@dataclass(frozen=True)
class OldTotals:
    """The content of the file.

    Attributes:
        newest: the newest micro-batch.
        sums: of each of the terms, over all micro-batches.
        positions: log id to the offset up to which all results are stored.
    """

    newest: LedgerEntry
    sums: dict[str, int]
    positions: dict[str, int]


def read_totals_file(path: Path) -> OldTotals | None:
    """Return the content of the file; None if there is none.

    Raises:
        AccountingError: the file is damaged, or is another file.
    """
    try:
        fields: dict[str, Any] = json.loads(path.read_bytes())
        newest = fields["newest"]
        ranges = tuple(LogRange(**each) for each in newest.pop("ranges"))
        return OldTotals(
            LedgerEntry(ranges=ranges, **newest),
            dict.fromkeys(TERMS, 0) | {name: int(value) for name, value in fields["sums"].items()},
            {str(log_id): int(end) for log_id, end in fields["positions"].items()},
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AccountingError(f"{path}: not the line totals of a job: {error}") from None
