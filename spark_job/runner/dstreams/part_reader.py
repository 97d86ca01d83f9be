"""The task of a direct stream: reads its part of a log, decodes it by columns, and writes an audit file.

The part names a log and offsets. The log may have moved to another bridge since the batch was planned, above all if a
batch is computed again after a restart. So a task whose bridge is away asks all bridges for the log, and continues
after the last event that it has.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from spark_job.accounting.audit_file import AuditWriter
from spark_job.blocks import CUT_LENGTH, is_blocks
from spark_job.errors import BridgeUnavailable
from spark_job.source.bridge_client import RetryPolicy
from spark_job.source.bridges import Bridges
from spark_job.source.range_reader import PartitionReader, RangePartition, as_lines, as_tables

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
                for table in as_tables(as_lines(read_events(self.options, partition))):
                    yield self._decoded(table).rows
                continue
            with AuditWriter(self.audit, partition.part, AUDIT_PANE_US) as audit:
                for table in as_tables(as_lines(read_events(self.options, partition))):
                    decoded = self._decoded(table)
                    audit.record.add(table.num_rows, {ONLY_PANE: len(decoded.rows)})
                    _write_dead_letters(audit, table, decoded)
                    yield decoded.rows
                audit.finish()

    def _decoded(self, table: pa.Table) -> Decoded:
        import polars as pl

        from spark_job.parse import cut_length_of

        bodies, cut_length = pl.Series("body", table.column("body")), cut_length_of(table)
        return self.decoder.decode(bodies) if cut_length is None else _decode_whole(self.decoder, bodies, cut_length)


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
                last = record_batch.num_rows - 1
                count = record_batch.column("count")[last].as_py() if is_blocks(record_batch) else 1
                position = record_batch.column("offset")[last].as_py() + count
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
    written = letters.select("error", "raw", *({CUT_LENGTH} & set(letters.columns)))
    audit.add_dead_letters(pl.concat([places[letters["place"]], written], how="horizontal"))


def _decode_whole(decoder: Decoder, bodies: pl.Series, cut_length: pl.Series) -> Decoded:
    """Decode the whole lines only: a cut line is malformed, whatever the decoder would make of its beginning."""
    import polars as pl

    from spark_job.parse import Reason
    from spark_job.parse.parser import raw_texts
    from spark_job.parse.text import decode
    from spark_job.runner.dstreams.decoder import Decoded

    whole, cut = cut_length.is_null().arg_true(), cut_length.is_not_null().arg_true()
    decoded = decoder.decode(bodies.gather(whole))
    places = whole.gather(decoded.malformed["place"]).cast(pl.Int64)
    found = decoded.malformed.with_columns(places.alias("place"), pl.lit(None, pl.Int64).alias(CUT_LENGTH))
    letters = pl.DataFrame(
        {
            "place": cut.cast(pl.Int64),
            "error": pl.Series([str(Reason.TOO_LONG)]).new_from_index(0, len(cut)),
            "raw": raw_texts(decode(bodies.gather(cut))),
            CUT_LENGTH: cut_length.gather(cut),
        }
    )
    return Decoded(decoded.rows, pl.concat([found.select(letters.columns), letters]).sort("place"))
