"""The job's counters, as its progress file has them while it runs and afterwards."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

URL_COUNTS = "url-counts"
"""The job of ``headrace run``. Retention closes its windows, not a watermark."""


@dataclass(frozen=True)
class JobStatus:
    """The job's counters over all micro-batches that it has ever stored. Ages are in seconds."""

    up: bool
    name: str = ""
    state: str = ""
    read: int | None = None
    lost: int | None = None
    counted: int | None = None
    malformed: int | None = None
    late: int | None = None
    too_old: int | None = None
    open: int | None = None
    hits: int | None = None
    watermark: str | None = None
    batch_age_s: float | None = None
    positions: dict[str, int] = field(default_factory=dict)
    error: str = ""

    def not_counted(self) -> tuple[tuple[str, int | None], ...]:
        """Return the terms of lines that parse and are not counted, as names and numbers, if the job has such terms.

        Where retention closes windows no line is late. But late lines that an older version has found stay in the sum.
        """
        terms = (("late", self.late), ("too old", self.too_old))
        return tuple((name, lines) for name, lines in terms if lines is not None)


def job_status(progress: Path, name: str, *, up: bool, now: datetime) -> JobStatus:
    """Read the job's progress file, which stays valid while the job does not run."""
    try:
        fields: dict[str, Any] = json.loads(progress.read_bytes())
    except (OSError, ValueError):
        return JobStatus(up=up, name=name)
    tally = fields.get("tally") or {}
    batch_at = fields.get("batch_at")
    return JobStatus(
        up=up,
        name=name,
        state=fields["state"],
        read=tally.get("read"),
        lost=tally.get("lost"),
        counted=tally.get("counted"),
        malformed=tally.get("malformed"),
        late=tally.get("late"),
        too_old=tally.get("too_old"),
        open=tally.get("open"),
        hits=tally.get("hits"),
        watermark=fields.get("watermark"),
        batch_age_s=(now - datetime.fromisoformat(batch_at)).total_seconds() if batch_at else None,
        positions=fields.get("positions") or {},
        error=fields.get("error") or "",
    )
