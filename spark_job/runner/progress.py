"""``progress.json``: the state of the running job, for the status of the pipeline and for health checks.

::

    state        starting | running | draining | stopping | stopped | failed
    pid          of the job
    checked_at   when the job last checked its query: its heartbeat, every second
    batch_at     when this process stored its newest batch; null before its first
    batch_id     its number; over DStreams the batch time in milliseconds
    batch_ms     how long it took
    state_rows   rows that Spark keeps for open windows; 0 for URL counts, which keep none
    watermark    event time before which windows are closed; null for jobs without a watermark, where no line is late
    waiting      events that the bridges hold and the job has not counted; null if a bridge did not answer
    positions    log id to the offset up to which lines are counted
    tally        the terms of the sum; see accounting/tally.py
    error        why it failed
    retry        whether another start may help; only beside an error

Times are ISO 8601 in UTC. The file is replaced whole, without waiting for the disk: after a power cut it is out of date
anyway.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from headrace.common.durations import MILLISECOND
from headrace.common.files import replace_file
from headrace.common.text import EPOCH, iso_utc
from spark_job.errors import sink_errors

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql.streaming.listener import StreamingQueryProgress

    from spark_job.accounting.tally import Tally


@dataclass(frozen=True)
class NewestBatch:
    """The newest batch that this process stored.

    Attributes:
        number: its number in the query, or its batch time in milliseconds.
        stored_at: when it was stored.
        closed_before_ms: the watermark, in milliseconds since the epoch; 0: none yet.
    """

    number: int
    stored_at: datetime
    closed_before_ms: int = 0


def write_progress(
    path: Path,
    state: str,
    batch: NewestBatch | None = None,
    *,
    checked_at: datetime | None = None,
    positions: dict[str, int] | None = None,
    tally: Tally | None = None,
    waiting: int | None = None,
    spark: StreamingQueryProgress | None = None,
    error: str = "",
    retry: bool = True,
) -> None:
    """Replace the file.

    Args:
        path: the file.
        state: one of the states above.
        batch: the newest batch; None before the first.
        checked_at: the heartbeat; None: now.
        positions: log id to the offset up to which lines are counted.
        tally: the terms of the sum; written together with ``positions``.
        waiting: events that the bridges hold and the job has not counted.
        spark: Spark's own report of the newest micro-batch.
        error: why the job failed.
        retry: whether another start may help after that error.

    Raises:
        SinkError: it cannot be written.
    """
    checked_at = checked_at or datetime.now(UTC)
    fields: dict[str, Any] = {"state": state, "pid": os.getpid(), "checked_at": iso_utc(checked_at), "batch_at": None}
    if batch is not None:
        closed_ms = batch.closed_before_ms
        fields |= {
            "batch_at": iso_utc(batch.stored_at),
            "batch_id": batch.number,
            "watermark": iso_utc(EPOCH + closed_ms * MILLISECOND) if closed_ms > 0 else None,
        }
    if positions is not None and tally is not None:
        fields |= {"positions": positions, "tally": tally.as_json()}
    if spark is not None:
        fields["batch_ms"] = spark.durationMs.get("triggerExecution")
        fields["state_rows"] = sum(operator.numRowsTotal for operator in spark.stateOperators)
    fields |= {"waiting": waiting, "error": error}
    if error:
        fields["retry"] = retry
    with sink_errors(path):
        replace_file(path, json.dumps(fields, indent=2).encode(), durable=False)
