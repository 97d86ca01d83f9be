"""Jobs as processes: files, sums and dead letters of the last micro-batch come without another one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.bridges import RealBridge
from tests.support.counting import line
from tests.support.job_process import START_TIMEOUT_S, STOP_TIMEOUT_S, JobProcess
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

LINES = 70


@pytest.mark.spark
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "command",
    [
        ["url-counts", "--window", "1h"],
        ["running-totals", "--api", "structured"],
        ["running-totals", "--api", "dstream"],
    ],
    ids=" ".join,
)
def test_nothing_waits_for_another_batch(command: list[str], tmp_path: Path) -> None:
    folder, out = tmp_path / "job", tmp_path / "out.jsonl"
    name, *options = command

    def hits_in_the_file() -> int:
        return sum(json.loads(text)["hits"] for text in out.read_text().splitlines()) if out.exists() else 0

    with (
        RealBridge(tmp_path / "log") as bridge,
        JobProcess(name, bridge.address, folder, *options, "--sink", f"jsonl:{out}") as job,
    ):
        for end in (LINES, 2 * LINES):
            # The second batch comes while the file rests or is written, or later; it must not need a third one.
            bridge.extend([*(line(n, f"/{n % 7}") for n in range(LINES - 1)), b"no line"])
            job.wait_for_read(end)
        counted = 2 * (LINES - 1)
        wait_until(lambda: hits_in_the_file() == counted, STOP_TIMEOUT_S, f"{counted} hits in the file")
        wait_until(lambda: job.progress()["tally"]["counted"] == counted, STOP_TIMEOUT_S, "all lines to be counted")
        wait_until(
            lambda: len(list((folder / "dead-letters").rglob("*.jsonl"))) == 2, STOP_TIMEOUT_S, "both dead letters"
        )
        assert job.progress()["tally"]["balanced"] is True
        assert job.process.poll() is None, job.errors()


@pytest.mark.spark
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_file_that_cannot_be_written_ends_the_job_with_its_name(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    out = place / "out.jsonl"
    with (
        RealBridge(tmp_path / "log") as bridge,
        JobProcess(
            "running-totals", bridge.address, tmp_path / "job", "--api", "structured", "--sink", f"jsonl:{out}"
        ) as job,
    ):
        wait_until(out.exists, START_TIMEOUT_S, "the first snapshot")
        out.unlink()
        place.rmdir()
        place.write_text("no folder")
        bridge.extend([line(n, "/") for n in range(LINES)])
        assert job.end() == 1
        assert len(job.errors()) == 1
        assert f"{out}: cannot be written" in job.errors()[0]
