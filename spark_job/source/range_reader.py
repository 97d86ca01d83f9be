"""Reads one part of a log on an executor, directly from its bridge, and handles events that are gone."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pyarrow as pa
from pyspark.sql.datasource import InputPartition

from avro_bridge.errors import LogDamaged, LogIdDiffers, RangeBelow
from spark_job.blocks import is_blocks, lines_in, lines_of
from spark_job.errors import BridgeUnavailable, DataLoss
from spark_job.source.bridge_client import BridgeClient, RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from spark_job.ranges import Part
    from spark_job.source.options import Address, FlumeOptions

logger = logging.getLogger(__name__)

MAX_TABLE_EVENTS: Final = 131_072
MAX_TABLE_BYTES: Final = 32 * 1024 * 1024


class RangePartition(InputPartition):
    """What one task reads, and the bridge that it reads from.

    ``address`` is None when no bridge has the log any more and the options allow that.
    """

    def __init__(self, address: Address | None, part: Part) -> None:
        self.address = address
        self.part = part

    def __repr__(self) -> str:
        return f"RangePartition({self.part.log_id} {self.part.start}..{self.part.end} at {self.address})"


@dataclass(frozen=True)
class LossPolicy:
    """Whether lost events stop the query (option ``failOnDataLoss``)."""

    fail: bool

    def report(self, text: str) -> None:
        """Log that events are lost.

        Raises:
            DataLoss: the option makes it an error.
        """
        if self.fail:
            raise DataLoss(f"{text}; with option failOnDataLoss=false the query logs this and skips them")
        logger.warning("%s; they are skipped, since option failOnDataLoss is false", text)


class PartitionReader:
    """Reads partitions. It holds options only, so Spark can send it to the executors."""

    def __init__(self, options: FlumeOptions) -> None:
        self._security = options.security
        self._headers = options.include_headers
        self._loss = LossPolicy(options.fail_on_data_loss)
        self._retry = RetryPolicy(patience_s=options.bridge_timeout_s)

    def read(self, partition: RangePartition) -> Iterator[pa.RecordBatch]:
        """Yield the partition's lines in order, each record batch as lines or as blocks (:mod:`spark_job.blocks`).

        Raises:
            DataLoss: some are gone or damaged, and the options do not allow it.
            BridgeUnavailable: the bridge does not answer, or its address has another log now: plan again.
        """
        if partition.address is None:
            return
        part = partition.part
        with BridgeClient(partition.address, self._security, self._retry) as client:
            position, stop = part.start, part.end
            while position < part.end:
                try:
                    for batch in client.read(part.log_id, position, stop, headers=self._headers):
                        yield batch
                        position += lines_in(batch)
                    # Read up to the damage, if any. Asked again from there, the bridge names the damage to step over.
                    stop = part.end
                except (RangeBelow, LogDamaged) as error:
                    position, stop = self._step_over(error, client, part, position)
                except LogIdDiffers:
                    raise BridgeUnavailable(
                        f"log {part.log_id} is not at {partition.address} any more; the next attempt looks for it"
                    ) from None

    def _step_over(
        self, error: RangeBelow | LogDamaged, client: BridgeClient, part: Part, position: int
    ) -> tuple[int, int]:
        """Return where to continue and where to stop, after the bridge refused to read from ``position``."""
        if isinstance(error, LogDamaged):
            # The bridge names the damage before it sends anything: first read what lies before it.
            if error.first > position:
                return position, min(error.first, part.end)
            behind, why = error.last + 1, str(error)
        else:
            behind, why = client.status().first_offset, "the bridge has deleted them"
        behind = min(behind, part.end)
        # Without progress the same request would be refused for ever.
        if behind <= position:
            raise DataLoss(f"log {part.log_id}: offset {position} cannot be read: {error}") from None
        self._loss.report(f"log {part.log_id}: events {position} to {behind - 1} are lost: {why}")
        return behind, part.end


def as_lines(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield lines as they are, and blocks as lines, no more than a table has; copies the lines of blocks only.

    Raises:
        BridgeRefused: the blocks are not as the contract says.
    """
    for batch in batches:
        if is_blocks(batch):
            yield from lines_of(batch, MAX_TABLE_EVENTS)
        else:
            yield batch


def as_tables(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Join small record batches into tables, for which a columnar operation is worth its fixed cost; copies nothing.

    A table has lines only, or blocks only.
    """
    waiting: list[pa.RecordBatch] = []
    events = size = 0
    for batch in batches:
        lines, taken = lines_in(batch), batch.nbytes
        full = events + lines > MAX_TABLE_EVENTS or size + taken > MAX_TABLE_BYTES
        if waiting and (full or not batch.schema.equals(waiting[0].schema)):
            yield pa.Table.from_batches(waiting)
            waiting, events, size = [], 0, 0
        waiting.append(batch)
        events += lines
        size += taken
    if waiting:
        yield pa.Table.from_batches(waiting)
