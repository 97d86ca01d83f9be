"""URL counts with a watermark, as a program of its own would run them, stepped by hand: Spark keeps the windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.common.durations import spark_interval
from spark_job.accounting.ledger import Ledger
from spark_job.accounting.spark_checkpoint import Checkpoint
from spark_job.source import register
from spark_job.windows import count_urls

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Self

    from pyspark.sql import DataFrame, SparkSession

    from spark_job.accounting.ledger import LedgerEntry
    from spark_job.windows import Windows
    from tests.support.bridges import RealBridge


class WatermarkedQuery:
    """One query over one bridge, whose accounts the ledger makes; a context manager.

    Attributes:
        hits: what Spark counted, by start of the window and URL.
    """

    def __init__(self, spark: SparkSession, bridge: RealBridge, folder: Path, windows: Windows) -> None:
        register(spark)
        self._bridge = bridge
        self._entries: list[LedgerEntry] = []
        self.hits: dict[tuple[object, str], int] = {}
        checkpoint = Checkpoint(folder / "checkpoint")
        self._ledger = Ledger(checkpoint, folder / "audit", windows, lambda _log_id: 0)
        lines = (
            spark.readStream.format("access_log")
            .options(
                bridges=bridge.address,
                consumer="watermarked",
                rollup=spark_interval(windows.pane),
                audit=str(folder / "audit"),
            )
            .load()
        )
        counts = count_urls(lines, windows.length, windows.slide, windows.watermark)
        self._query = (
            counts.writeStream.outputMode("update")
            .option("checkpointLocation", str(checkpoint.folder))
            .trigger(processingTime="0 seconds")
            .foreachBatch(self._take)
            .start()
        )

    def _take(self, changed: DataFrame, batch_id: int) -> None:
        rows = changed.toArrow().to_pylist()
        self.hits |= {(row["window_start"], row["url"]): row["hits"] for row in rows}
        self._entries.append(self._ledger.entry(batch_id))

    def feed(self, lines: Sequence[bytes]) -> LedgerEntry:
        """Store lines at the bridge, let the query read them, and return the ledger entry of the newest batch."""
        self._bridge.extend(lines)
        self._query.processAllAvailable()
        return self._entries[-1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._query.stop()
