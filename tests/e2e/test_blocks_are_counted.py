"""From the spool folder to the counts in blocks: killed, read again, and counted once by jobs of both APIs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.support.agents import drop, java_or_skip, running_agent
from tests.support.bridge_process import RunningBridge, running_bridge
from tests.support.delivery import as_file, place, wait_stored
from tests.support.logs import hits_of, lines_of
from tests.support.source_tree import ROOT
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.java, pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(900)]

MAX_LINE = 65_536
BLOCKS = {
    "spool.deserializer": "blocks",
    "spool.block_bytes": 16_384,
    "spool.max_line_bytes": MAX_LINE,
    "channel.type": "memory",
}
TOO_LONG = b'10.0.0.1 - - [17/May/2015:10:05:03 +0000] "GET /too-long HTTP/1.1" 200 1 "-" "' + b"x" * MAX_LINE + b'"'


def drained(job: str, bridge: RunningBridge, folder: Path, *options: str) -> dict[str, int]:
    """Let a job read all that is stored; return the terms of its sum."""
    target = folder / f"{job}-to.json"
    target.write_text(json.dumps({bridge.log_id: bridge.status().next_offset}))
    command = [sys.executable, "-m", "spark_job", job, "--bridges", f"127.0.0.1:{bridge.flight_port}"]
    command += ["--job-folder", str(folder / job), "--driver-memory", "512m", "--drain-to-file", str(target), *options]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert ended.returncode == 0, ended.stderr
    tally = json.loads((folder / job / "tally.json").read_text())
    return {name: tally[name] for name in ("read", "counted", "malformed")}


def test_a_file_that_was_read_twice_is_counted_once(tmp_path: Path) -> None:
    java_or_skip()
    (tmp_path / "spool").mkdir()
    lines = [*lines_of("made up"), TOO_LONG]
    expected = hits_of(lines[:-1])
    with running_bridge(tmp_path / "bridge") as bridge:
        drop(tmp_path, "access.log", as_file(lines))
        with running_agent(tmp_path, [place(bridge.avro_port)], BLOCKS) as agent:
            wait_stored(bridge, 1000)
            os.kill(agent.pid, signal.SIGKILL)
        # All that the agent knew is gone, and the file is there as it was.
        shutil.rmtree(tmp_path / "spool/.flumespool", ignore_errors=True)
        for path in (tmp_path / "spool").glob("*.COMPLETED"):
            path.rename(path.with_suffix(""))
        with running_agent(tmp_path, [place(bridge.avro_port)], BLOCKS):
            wait_stored(bridge, len(lines))
            wait_until(lambda: bridge.status().counters["deduplicated_events"] >= 1000, 60, "the resend to be dropped")

        assert bridge.status().counters["stored_events"] == len(lines)
        # Holds all lines back, so that what one job has committed is still there for the next.
        bridge.action("start", {"consumer": "keeper", "log_id": bridge.log_id, "position": "earliest"})
        terms = {"read": len(lines), "counted": expected.total(), "malformed": len(lines) - expected.total()}
        out = tmp_path / "counts.jsonl"
        assert drained("url-counts", bridge, tmp_path, "--window", "1h", "--sink", f"jsonl:{out}") == terms
        hits: Counter[str] = Counter()
        for text in out.read_text().splitlines():
            row = json.loads(text)
            hits[row["url"]] += row["hits"]
        assert hits == expected
        letters = "".join(path.read_text() for path in (tmp_path / "url-counts/dead-letters").rglob("*.jsonl"))
        assert letters.count('"line too long"') == 1
        assert drained("url-counts-dstream", bridge, tmp_path) == terms
