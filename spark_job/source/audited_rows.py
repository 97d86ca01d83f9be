"""The audit of sources that give lines as rows: what :mod:`spark_job.source.access_log` does for sums, for any rows.

A query over lines is free to filter and join them, so how many there were cannot be told from its result. Each task
therefore notes it beside the rows that it hands over: how many, at which times, how many malformed, and these
themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spark_job.accounting.audit_file import AuditWriter, remove_leftovers
from spark_job.source.readers import Conversion

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pyarrow as pa

    from spark_job.ranges import Part
    from spark_job.source.options import AuditOptions


class Audited(Conversion):
    """Hands the rows of another conversion on, and leaves the audit of them.

    Args:
        inner: gives rows with ``offset`` and ``received``; with ``error`` and ``raw`` where events can be malformed.
        audit: where the audit goes, and the panes that lines are counted in.
        time: the column that tells when a line happened.
    """

    def __init__(self, inner: Conversion, audit: AuditOptions, time: str = "time") -> None:
        self._inner = inner
        self._folder = audit.folder
        self._pane_us = audit.pane_us
        self._time = time

    def prepare(self, parts: Sequence[Part]) -> None:
        """Clear the batch's audit folders of what an earlier try with another plan left."""
        self._inner.prepare(parts)
        remove_leftovers(self._folder, parts)

    def convert(self, part: Part, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the rows as they are; the audit is on disk before the task is done."""
        with AuditWriter(self._folder, part, self._pane_us) as audit:
            for rows in self._inner.convert(part, batches):
                self._note(audit, rows)
                yield rows
            audit.finish()

    def _note(self, audit: AuditWriter, rows: pa.RecordBatch) -> None:
        import polars as pl

        names = [name for name in ("offset", "received", self._time, "raw", "error") if name in rows.schema.names]
        lines = pl.DataFrame([pl.Series(name, rows.column(name)) for name in dict.fromkeys(names)])
        if "error" in lines.columns and lines["error"].null_count() < len(lines):
            audit.add_dead_letters(lines.filter(pl.col("error").is_not_null()))
            lines = lines.filter(pl.col("error").is_null())
        start = pl.col(self._time).dt.epoch("us") // self._pane_us * self._pane_us
        counts = lines.group_by(start.alias("pane")).len().sort("pane")
        audit.record.add(rows.num_rows, dict(zip(counts["pane"].to_list(), counts["len"].to_list(), strict=True)))
