"""``progress.json`` of a DStream job: the fields of :mod:`spark_job.runner.progress` that it has.

``batch_id`` is the batch time in milliseconds. There is no watermark: a batch is of the time at which it is read.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from headrace.common.files import replacing
from spark_job.errors import sink_errors
from spark_job.sinks.jsonl import iso_utc

if TYPE_CHECKING:
    from pathlib import Path

    from spark_job.accounting.tally import Tally


def write_progress(
    path: Path,
    state: str,
    *,
    batch_ms: int | None = None,
    batch_at: datetime | None = None,
    positions: dict[str, int] | None = None,
    tally: Tally | None = None,
    waiting: int | None = None,
    error: str = "",
) -> None:
    """Replace the file.

    Raises:
        SinkError: it cannot be written.
    """
    fields: dict[str, Any] = {
        "state": state,
        "pid": os.getpid(),
        "checked_at": iso_utc(datetime.now(UTC)),
        "batch_at": iso_utc(batch_at) if batch_at is not None else None,
    }
    if batch_ms is not None:
        fields |= {"batch_id": batch_ms, "watermark": None}
    if positions is not None and tally is not None:
        fields |= {"positions": positions, "tally": tally.as_json()}
    fields |= {"waiting": waiting, "error": error}
    with sink_errors(path), replacing(path, durable=False) as file:
        file.write(json.dumps(fields, indent=2).encode())
