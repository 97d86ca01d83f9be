"""The audit of sources that make a row of each line or event.

A query may filter and join these rows, so its result does not tell how many lines there were. Each task therefore
writes an audit file beside the rows that it hands over: how many lines, at which times, how many malformed, and the
malformed lines themselves. (:mod:`spark_job.source.access_log` does the same for sums.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spark_job.accounting.audit_file import AuditWriter, remove_leftovers
from spark_job.blocks import CUT_LENGTH, cut_lines
from spark_job.source.readers import Conversion

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pyarrow as pa

    from spark_job.ranges import Part
    from spark_job.source.options import AuditOptions


class AuditedRows(Conversion):
    """Passes the rows of another conversion on, and writes the audit of them.

    Args:
        inner: makes rows with ``offset`` and ``received``, and with ``error`` and ``raw`` if events can be malformed.
        audit: where the audit goes, and the panes that lines are counted in.
        time: the column that says when a line happened.
    """

    def __init__(self, inner: Conversion, audit: AuditOptions, time: str = "time") -> None:
        self._inner = inner
        self._folder = audit.folder
        self._pane_us = audit.pane_us
        self._time = time

    def prepare(self, parts: Sequence[Part]) -> None:
        """Clear the micro-batch's audit folders of files that an earlier attempt with another plan left."""
        self._inner.prepare(parts)
        remove_leftovers(self._folder, parts)

    def convert(self, part: Part, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the rows unchanged; the audit is on disk before the task ends."""
        lengths: dict[int, int] = {}
        with AuditWriter(self._folder, part, self._pane_us) as audit:
            for rows in self._inner.convert(part, _noting(batches, lengths)):
                self._add_to_audit(audit, rows, lengths)
                yield rows
            audit.finish()

    def _add_to_audit(self, audit: AuditWriter, rows: pa.RecordBatch, lengths: dict[int, int]) -> None:
        import polars as pl

        names = [name for name in ("offset", "received", self._time, "raw", "error") if name in rows.schema.names]
        lines = pl.DataFrame([pl.Series(name, rows.column(name)) for name in dict.fromkeys(names)])
        if "error" in lines.columns and lines["error"].null_count() < len(lines):
            letters = lines.filter(pl.col("error").is_not_null())
            if lengths:
                found = [lengths.get(offset) for offset in letters["offset"]]
                letters = letters.with_columns(pl.Series(CUT_LENGTH, found, pl.Int64))
            audit.add_dead_letters(letters)
            lines = lines.filter(pl.col("error").is_null())
        start = pl.col(self._time).dt.epoch("us") // self._pane_us * self._pane_us
        counts = lines.group_by(start.alias("pane")).len().sort("pane")
        audit.record.add(rows.num_rows, dict(zip(counts["pane"].to_list(), counts["len"].to_list(), strict=True)))


def _noting(batches: Iterable[pa.RecordBatch], lengths: dict[int, int]) -> Iterator[pa.RecordBatch]:
    """Pass record batches on, and note the lengths of their cut lines, which the rows for Spark have no column for."""
    for batch in batches:
        lengths.update(cut_lines(batch))
        yield batch
