"""``progress.json``: how the job is doing, for the status of the pipeline and for health checks.

::

    state        starting | running | draining | stopping | stopped | failed
    pid          of the job
    checked_at   when the job last looked after its query: its heartbeat, every second
    batch_at     when this process stored its newest batch; null before its first
    batch_id     its number
    batch_ms     how long it took
    state_rows   rows that Spark keeps for open windows
    watermark    event time before which windows are closed
    waiting      events that the bridges hold and the query has not counted; null when a bridge did not answer
    positions    log id to the offset up to which is counted
    tally        the sum; see accounting.py
    error        why it failed

Times are ISO 8601 in UTC. The file is replaced whole, without waiting for the disk: after a loss of power it means
nothing anyway.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from headrace.common.durations import MILLISECOND
from headrace.common.files import replacing
from spark_job.errors import sink_errors
from spark_job.sinks.counts_table.reader import EPOCH
from spark_job.sinks.jsonl import iso_utc

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from pyspark.sql.streaming.listener import StreamingQueryProgress

    from spark_job.accounting.tally import Tally
    from spark_job.runner.batch_writer import Progress


def write_progress(
    path: Path,
    state: str,
    checked_at: datetime,
    last: Progress | None = None,
    *,
    positions: dict[str, int] | None = None,
    tally: Tally | None = None,
    waiting: int | None = None,
    spark: StreamingQueryProgress | None = None,
    error: str = "",
) -> None:
    """Replace the file; ``spark`` is Spark's own progress of the newest batch.

    Raises:
        SinkError: it cannot be written.
    """
    fields: dict[str, Any] = {"state": state, "pid": os.getpid(), "checked_at": iso_utc(checked_at), "batch_at": None}
    if last is not None:
        watermark_ms = last.entry.closed_before_ms
        fields |= {
            "batch_at": iso_utc(last.stored_at),
            "batch_id": last.entry.batch_id,
            "watermark": iso_utc(EPOCH + watermark_ms * MILLISECOND) if watermark_ms > 0 else None,
        }
    if positions is not None and tally is not None:
        fields |= {"positions": positions, "tally": tally.as_json()}
    if spark is not None:
        fields["batch_ms"] = spark.durationMs.get("triggerExecution")
        fields["state_rows"] = sum(operator.numRowsTotal for operator in spark.stateOperators)
    fields |= {"waiting": waiting, "error": error}
    with sink_errors(path), replacing(path, durable=False) as file:
        file.write(json.dumps(fields, indent=2).encode())
