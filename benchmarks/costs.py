"""What a million events cost each stage, in processor seconds: what a deployment is sized by.

The whole pipeline counts the same file twice; the second time is taken, when every stage is warm. A stage's seconds are
those of its process and of everything below it, Java and Python's workers included.

Of the job's seconds some are for lines and some for micro-batches, however few lines they hold. Two runs, with short
and with long times between batches, tell them apart: two equations for the two unknowns.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from avro_bridge.log.folder_lock import log_folders
from avro_bridge.log.log import Log
from benchmarks.end_to_end import Pipeline, running_pipeline
from benchmarks.frames import log_lines
from benchmarks.machine import cpu_seconds

if TYPE_CHECKING:
    from benchmarks.scale import Scale

RUNS = (("memory", "500ms"), ("memory", "10s"), ("file", "10s"))
"""Channel, and time between two micro-batches."""

STAGES = ("agent", "bridge", "job")
MILLION = 1_000_000


@dataclass(frozen=True)
class Reading:
    """What had been used up to one moment."""

    seconds: dict[str, float]
    stored_bytes: int
    batches: int

    def since(self, before: Reading) -> Reading:
        """Return what was used between two moments."""
        seconds = {stage: self.seconds[stage] - before.seconds[stage] for stage in STAGES}
        return Reading(seconds, self.stored_bytes - before.stored_bytes, self.batches - before.batches)


def run(scale: Scale, corpus: Path | None) -> None:
    """Measure and print."""
    events = scale.events
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as name:
        folder = Path(name)
        log = folder / "access.log"
        with log.open("wb") as file:
            file.writelines(line + b"\n" for line in log_lines(corpus, events))
        print(f"costs: {events:,} lines of {log.stat().st_size / events:.0f} bytes, processor seconds for a million")
        used = []
        for channel, trigger in RUNS:
            with running_pipeline(folder / f"{channel}-{trigger}", channel, "--trigger", trigger) as pipeline:
                used.append(_measure(pipeline, log, events))
            shown = "  ".join(f"{stage} {used[-1].seconds[stage] * MILLION / events:6.2f} s" for stage in STAGES)
            print(f"    {channel:6} channel, a batch each {trigger:5}   {shown}   in {used[-1].batches} batches")
        print(f"    the bridge's log takes {used[0].stored_bytes / events:.0f} bytes an event")
        many, few = used[0], used[1]
        if many.batches > few.batches:
            per_batch_s = (many.seconds["job"] - few.seconds["job"]) / (many.batches - few.batches)
            per_million_s = (few.seconds["job"] - per_batch_s * few.batches) * MILLION / events
            print(f"    so the job takes {per_million_s:.2f} s for the lines and {per_batch_s:.2f} s for each batch")


def _measure(pipeline: Pipeline, log: Path, events: int) -> Reading:
    """Return what the second passage of the file used."""
    pipeline.drop_and_wait(log, events)
    before = _reading(pipeline.state)
    pipeline.drop_and_wait(log, 2 * events)
    return _reading(pipeline.state).since(before)


def _reading(state: Path) -> Reading:
    stages = json.loads((state / "run.json").read_bytes())["stages"]
    stored = 0
    for folder in log_folders(state / "bridge" / "data"):
        with Log.open_readonly(folder) as log:
            stored += log.metadata().counters["stored_bytes"]
    batch = json.loads((state / "job" / "progress.json").read_bytes())["batch_id"]
    return Reading({stage: cpu_seconds(stages[stage]["pid"]) for stage in STAGES}, stored, batch)
