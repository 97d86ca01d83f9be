"""A made-up access log in batches, counted by other means, and a DStream job run over it batch by batch."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from headrace.sample import SampleSettings, sample_lines
from spark_job.runner.dstreams.options import SlidingOptions
from tests.support.bridges import RealBridge
from tests.support.streams import SteppedStreams

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pyspark.sql import SparkSession

LINES = [line.rstrip(b"\n") for line in sample_lines(SampleSettings(lines=3_000, seed=7, malformed=6))]
BATCHES = [LINES[:1000], LINES[1000:1800], [], LINES[1800:2700], LINES[2700:], []]
SHORT = SlidingOptions(window="3s")
REQUEST = re.compile(rb'" (\d{3}) (\d+|-) "[^"]*" "([^"]*)"$')
TARGET = re.compile(rb'"(?:GET|HEAD|POST) ([^ ?"]*)[^"]*" \d{3} ')


def parsed(lines: Iterable[bytes]) -> list[tuple[str, int, int, str]]:
    """Return URL, status, bytes and agent of the lines that are whole, found without the parser."""
    found = []
    for line in lines:
        target, rest = TARGET.search(line), REQUEST.search(line)
        # One kind of malformed line of the sample has a request, and a time that there is not.
        if target and rest and b"[32/" not in line:
            size = 0 if rest[2] == b"-" else int(rest[2])
            found.append((target[1].decode(), int(rest[1]), size, rest[3].decode()))
    return found


def window(second: int, batches: list[list[bytes]] = BATCHES) -> list[bytes]:
    """Return the lines of the three batches up to and with that one."""
    return [line for batch in batches[max(second - 3, 0) : second] for line in batch]


def results(
    spark: SparkSession, tmp_path: Path, job: Any, options: Any, batches: list[list[bytes]] = BATCHES
) -> tuple[dict[int, dict[Any, Any]], Any]:
    """Run a job over batches; return its results by second, and its sum."""
    with (
        RealBridge(tmp_path / "log") as bridge,
        SteppedStreams(spark, job, options, bridge.address, tmp_path / "job") as streams,
    ):
        for lines in batches:
            if lines:
                bridge.extend(lines)
            streams.step()
        return streams.by_time(), streams.tally
