"""Compares the outputs in ``docs/jobs.md`` with what each job prints over a small fixed sample.

``make docs-check`` compares; ``make docs-check ARGS=--write`` writes the outputs of today. Each job runs to
the end of its sample, as the real process over a real bridge. DStream jobs store their results under the time at which
they ran, which the page shows as ``<time>``. The page marks the blocks to compare: the block after ``<!-- output -->``
in a job's section is its output. The table after ``<!-- jobs -->`` is generated, too (``docs/jobs_reference.py``).
"""

from __future__ import annotations

import argparse
import difflib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docs.jobs_reference import PAGE, catalog, replaced
from headrace.sample import SampleSettings, sample_lines
from spark_job.jobs.catalog import JOBS, Entry, load
from tests.support.bridges import RealBridge
from tests.support.source_tree import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

ROWS_SHOWN = 3
TIMEOUT_S = 600
WALL_CLOCK = ("window_start", "window_end", "batch_time", "batch")


def access_log() -> list[bytes]:
    """Return 2,000 made-up requests and two malformed lines."""
    return [line.rstrip(b"\n") for line in sample_lines(SampleSettings(lines=2_000, malformed=2))]


def readings() -> list[bytes]:
    """Return readings of two devices, one of which falls silent, and a malformed line."""
    rows = [
        {"device": "attic", "time": f"2026-05-01T10:{n // 4:02d}:{n % 4 * 15:02d}Z", "value": 20 + n / 8}
        for n in range(40)
    ]
    rows += [{"device": "cellar", "time": f"2026-05-01T10:00:{n:02d}Z", "value": 11.5} for n in range(0, 60, 20)]
    return [*(json.dumps(row).encode() for row in rows), b"attic 20.5"]


def purchases() -> list[bytes]:
    """Return purchases of three items, and one without a time."""
    items = ("teapot", "cup", "cup", "spoon", "teapot", "cup")
    rows = [{"time": f"2026-05-01T10:{n:02d}:00Z", "item": items[n % 6], "units": 1 + n % 3} for n in range(30)]
    return [*(json.dumps(row).encode() for row in rows), b'{"item": "cup"}']


def posts() -> list[bytes]:
    """Return lines of text with hashtags."""
    words = ("#spark", "#flume", "#spark #streams")
    return [f"post {n}: {words[n % 3]} at the mill".encode() for n in range(90)]


def actions() -> list[bytes]:
    """Return actions of two hours, and a malformed line."""
    rows = [
        {"action": "view" if n % 4 else "buy", "time": f"2026-05-01T1{n // 20}:{n % 20:02d}:00Z"} for n in range(40)
    ]
    return [*(json.dumps(row).encode() for row in rows), b"view"]


SAMPLES = {"sensors": readings, "top-sellers": purchases, "hashtags": posts, "actions": actions}
"""The sample of each job; all other jobs read the access log."""


def output_of(entry: Entry, folder: Path) -> list[str]:
    """Run a job over its sample and return the lines that the page should show.

    Raises:
        RuntimeError: the job failed; the text is its standard error.
    """
    lines = SAMPLES.get(entry.name, access_log)()
    out = folder / "out.jsonl"
    command = [sys.executable, "-m", "spark_job", entry.name, "--job-folder", str(folder / "job")]
    command += ["--driver-memory", "512m", "--sink", f"jsonl:{out}"]
    if load(entry.name).source == "objects":
        sample = folder / "sample.jsonl"
        sample.write_bytes(b"\n".join(lines) + b"\n")
        said = _run([*command, "--file", str(sample)])
    else:
        with RealBridge(folder / "log") as bridge:
            bridge.extend(lines)
            drain = folder / "drain.json"
            drain.write_text(json.dumps({bridge.log_id: len(lines)}))
            # As `--once` does: the URL counts are drained while they stream, all other jobs get a bounded range.
            bounded = [] if entry.name == "url-counts" else ["--bounded"]
            said = _run([*command, "--bridges", bridge.address, *bounded, "--drain-to-file", str(drain)])
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    return [*_shown(entry, rows), said.splitlines()[-1]]


def _run(command: Sequence[str]) -> str:
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if ended.returncode != 0:
        raise RuntimeError(ended.stderr or ended.stdout)
    return ended.stderr


def _shown(entry: Entry, rows: list[dict[str, Any]]) -> list[str]:
    by_batch_time = entry.api == "dstreams" or any("batch_time" in row for row in rows)
    by_batch_time = (
        by_batch_time or getattr(load(entry.name).options.model_fields.get("api"), "default", "") == "dstream"
    )
    if entry.name == "intervals":
        # The number of windows that cover the one batch with lines depends on the time of the run.
        rows = [row for row in rows if row["lines"]][:1]
    masked = [
        json.dumps({**row, **{name: "<time>" for name in WALL_CLOCK if by_batch_time and name in row}}) for row in rows
    ]
    if len(masked) <= ROWS_SHOWN:
        return masked
    return [*masked[: ROWS_SHOWN - 1], f"... {len(masked) - ROWS_SHOWN:,} more ...", masked[-1]]


def generated(page: str, names: Sequence[str] = ()) -> str:
    """Return the page as it should be. Runs the jobs in ``names``, or all jobs if it is empty.

    Raises:
        LookupError: a job has no section.
        RuntimeError: a job failed.
    """
    page = replaced(page, "jobs", "", catalog())
    for entry in JOBS:
        if names and entry.name not in names:
            continue
        with tempfile.TemporaryDirectory(prefix="jobs-page-") as folder:
            lines = output_of(entry, Path(folder))
        page = replaced(page, "output", entry.name, "\n".join(["```text", *lines, "```"]))
        sys.stderr.write(f"{entry.name}: done\n")
    return page


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare the page with the output of the jobs, or write it; return the exit code."""
    parser = argparse.ArgumentParser(prog="make docs-check", description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--write", action="store_true", help="write the page instead of comparing it")
    parser.add_argument("names", nargs="*", metavar="JOB", help="only these jobs")
    given = parser.parse_args(arguments)
    page = PAGE.read_text(encoding="utf-8")
    wanted = generated(page, given.names)
    if given.write:
        PAGE.write_text(wanted, encoding="utf-8")
        return 0
    difference = list(difflib.unified_diff(page.splitlines(), wanted.splitlines(), "the page", "the jobs", lineterm=""))
    sys.stdout.write("".join(f"{line}\n" for line in difference))
    return 1 if difference else 0


if __name__ == "__main__":
    sys.exit(main())
