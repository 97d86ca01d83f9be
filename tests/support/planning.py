"""Bridges that come and go, and planners that are made anew as after a crash; no Spark is started."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from pyspark.sql.streaming.datasource import ReadAllAvailable

from spark_job.source.bridge_client import RetryPolicy
from spark_job.source.bridges import Bridges
from spark_job.source.options import parse_flume_options
from spark_job.source.planner import StreamPlanner
from tests.support.flight_double import FlightDouble, MemoryLog

if TYPE_CHECKING:
    from spark_job.source.range_reader import RangePartition

IMPATIENT = RetryPolicy(patience_s=0.0, first_delay_s=0.01, call_timeout_s=5.0)
ALL = ReadAllAvailable()


def filled(count: int, log_id: str = "", size: int = 10) -> MemoryLog:
    """Return a log with ``count`` events of ``size`` bytes."""
    log = MemoryLog(bodies=[bytes(size)] * count)
    log.log_id = log_id or log.log_id
    return log


class World:
    """Bridges that come and go, and planners over those that run."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self.doubles: dict[str, FlightDouble] = {}

    def serve(self, log: MemoryLog, port: int = 0) -> FlightDouble:
        """Show a log at an address."""
        self.doubles[log.log_id] = double = FlightDouble(log, port)
        self._stack.callback(self.stop, log)
        return double

    def stop(self, log: MemoryLog) -> None:
        """Take the log's endpoint away; the log stays."""
        double = self.doubles.pop(log.log_id, None)
        if double is not None:
            double.stop()

    def planner(self, *, bridges: str = "", **options: str) -> StreamPlanner:
        """Return a new planner of the same query, over all bridges that run."""
        parsed = parse_flume_options({"bridges": bridges or self.addresses, "consumer": "q"} | options)
        planner = StreamPlanner(parsed, Bridges(parsed, IMPATIENT))
        self._stack.callback(planner.close)
        return planner

    @property
    def addresses(self) -> str:
        """The addresses of all that run, as option ``bridges`` wants them."""
        return ",".join(double.address for double in self.doubles.values())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def ranges(partitions: list[RangePartition]) -> list[tuple[str, int, int]]:
    """Return what each partition reads."""
    return [(each.part.log_id, each.part.start, each.part.end) for each in partitions]
