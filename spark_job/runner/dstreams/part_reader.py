"""The task of a direct stream: reads its part of a log, decodes it by columns, and writes an audit file.

The part names a log and offsets. The log may have moved to another bridge since the batch was planned, above all if a
batch is computed again after a restart. So a task whose bridge is away asks all bridges for the log, and continues
after the last event that it has.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from spark_job.accounting.audit_file import AuditWriter
from spark_job.errors import BridgeUnavailable
from spark_job.source.bridge_client import RetryPolicy
from spark_job.source.bridges import Bridges
from spark_job.source.range_reader import PartitionReader, RangePartition, as_tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import polars as pl
    import pyarrow as pa

    from spark_job.runner.dstreams.decoder import Decoded, Decoder
    from spark_job.source.options import Address, FlumeOptions

AUDIT_PANE_US, ONLY_PANE = 1, 0
"""An audit counts lines per pane of event time. A DStream batch has no event time, so one pane holds all its lines."""


@dataclass(frozen=True)
class PartReader:
    """Reads parts of logs; the function for ``mapPartitions``.

    Attributes:
        options: the addresses of the bridges and how to connect.
        decoder: turns bodies into rows.
        audit: folder for audit files and dead letters; None if the batch is stored already.
    """

    options: FlumeOptions
    decoder: Decoder
    audit: Path | None

    def __call__(self, partitions: Iterable[RangePartition]) -> Iterator[pl.DataFrame]:
        """Yield tables of rows, in the order of the log.

        Raises:
            BridgeUnavailable: no bridge had the log for as long as the options allow.
            DataLoss: events are gone or damaged, and the options do not allow it.
        """
        for partition in partitions:
            if self.audit is None:
                for table in as_tables(read_events(self.options, partition)):
                    yield self._decoded(table).rows
                continue
            with AuditWriter(self.audit, partition.part, AUDIT_PANE_US) as audit:
                for table in as_tables(read_events(self.options, partition)):
                    decoded = self._decoded(table)
                    audit.record.add(table.num_rows, {ONLY_PANE: len(decoded.rows)})
                    _write_dead_letters(audit, table, decoded)
                    yield decoded.rows
                audit.finish()

    def _decoded(self, table: pa.Table) -> Decoded:
        import polars as pl

        return self.decoder.decode(pl.Series("body", table.column("body")))


def read_events(options: FlumeOptions, partition: RangePartition) -> Iterator[pa.RecordBatch]:
    """Yield the events of a partition in order, each once, from whichever bridge has the log now.

    Raises:
        BridgeUnavailable: no bridge had the log for ``bridge_timeout_s``.
    """
    reader = PartitionReader(options)
    part, address = partition.part, partition.address
    position = part.start
    while position < part.end:
        try:
            for record_batch in reader.read(RangePartition(address, replace(part, start=position))):
                yield record_batch
                # Only after the caller took it: a retry must neither repeat nor skip a record batch.
                position = record_batch.column(0)[record_batch.num_rows - 1].as_py() + 1
        except BridgeUnavailable:
            found = _find(options, part.log_id)
            if found is None:
                raise
            address = found
        else:
            # Complete, or cut short by lost events, which the options allow; the audit shows how many are missing.
            return


def _find(options: FlumeOptions, log_id: str) -> Address | None:
    bridges = Bridges(options, RetryPolicy(options.bridge_timeout_s))
    try:
        place = bridges.poll(patient=True).logs.get(log_id)
    finally:
        bridges.close()
    return place.client.address if place is not None else None


def _write_dead_letters(audit: AuditWriter, table: pa.Table, decoded: Decoded) -> None:
    import polars as pl

    letters = decoded.malformed
    if letters.is_empty():
        return
    places = pl.DataFrame({name: pl.Series(table.column(name)) for name in ("offset", "received")})
    audit.add_dead_letters(pl.concat([places[letters["place"]], letters.select("error", "raw")], how="horizontal"))
