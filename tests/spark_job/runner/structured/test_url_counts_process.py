"""The job as a process: it counts exactly, stops when asked, goes on where it was, and says in one line why it died."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.bridges import RealBridge
from tests.support.counting import line
from tests.support.job_process import STOP_TIMEOUT_S, JobProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[4]


def url_counts(bridge: RealBridge, folder: Path, *options: str) -> JobProcess:
    return JobProcess("url-counts", bridge.address, folder, "--trigger", "0s", "--window", "1m", *options)


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[RealBridge]:
    with RealBridge(tmp_path / "log") as opened:
        yield opened


def lines(start: int, end: int) -> list[bytes]:
    return [line(second, f"/{second % 7}") for second in range(start, end)]


def expected(seconds: range) -> Counter[tuple[str, str]]:
    """Hits by minute, as the file has it, and URL."""
    return Counter((f"1970-01-01T{s // 3600:02d}:{s // 60 % 60:02d}:00Z", f"/{s % 7}") for s in seconds)


def counted(path: Path) -> Counter[tuple[str, str]]:
    rows = [json.loads(text) for text in path.read_text().splitlines()]
    return Counter({(row["window_start"], row["url"]): row["hits"] for row in rows})


def test_drained_stopped_killed_and_started_again(bridge: RealBridge, tmp_path: Path) -> None:
    folder, out = tmp_path / "job", tmp_path / "counts.jsonl"
    sinks = ["--sink", "console", "--sink", f"jsonl:{out}", "--sink", f"parquet:{tmp_path / 'parquet'}"]
    drain = tmp_path / "drain.json"

    bridge.extend([*lines(0, 500), b"not a line \x1b[2J"])
    drain.write_text(json.dumps({bridge.log_id: 501}))
    with url_counts(bridge, folder, *sinks, "--drain-to-file", str(drain), "--max-events", "200") as job:
        assert job.end() == 0, job.errors()
        assert job.errors() == ["lines read 501 = counted 500 + malformed 1 + too old 0"]
        assert "1970-01-01 00:08:00 to 00:09:00 UTC" in job.out.read_text()
        assert json.loads((folder / "tally.json").read_bytes())["balanced"] is True
        assert job.progress()["state"] == "stopped"
    assert counted(out) == expected(range(500))
    assert [path.name for path in (folder / "dead-letters").rglob("*.jsonl")]

    with url_counts(bridge, folder, *sinks) as job:
        bridge.extend(lines(500, 800))
        job.wait_for_read(801)
        # To all of them at once, as service managers do.
        job.signal_tree(signal.SIGTERM)
        assert job.end(STOP_TIMEOUT_S) == 0, job.errors()
    assert counted(out) == expected(range(800))

    with url_counts(bridge, folder, *sinks) as job:
        bridge.extend(lines(800, 900))
        job.wait_for_read(901)
        job.signal_tree(signal.SIGKILL)
        job.end()

    bridge.extend(lines(900, 1000))
    drain.write_text(json.dumps({bridge.log_id: 1001}))
    with url_counts(bridge, folder, *sinks, "--drain-to-file", str(drain)) as job:
        assert job.end() == 0, job.errors()
    assert counted(out) == expected(range(1000))
    assert len(list((tmp_path / "parquet").iterdir())) == 17


def test_what_ends_it_is_said_in_one_line(bridge: RealBridge, tmp_path: Path) -> None:
    folder = tmp_path / "job"
    bridge.extend(lines(0, 10))
    with url_counts(bridge, folder) as job:
        job.wait_for_read(10)
        with url_counts(bridge, folder) as second:
            assert second.end() == 2
            assert "another job is running in this folder" in second.err.read_text()
        java = next(child for child in job.process.children() if child.name() == "java")
        java.kill()
        assert job.end() == 1
        assert len(job.errors()) == 1
        assert "the Java side of Spark has died" in job.errors()[0]
        assert job.progress()["state"] == "failed"

    with url_counts(bridge, folder, "--window", "5m") as job:
        assert job.end() == 2
        assert len(job.errors()) == 1
        assert "window was '1m' and is '5m'" in job.errors()[0]

    bridge.extend(lines(10, 20))
    with url_counts(bridge, folder) as job:
        job.wait_for_read(20)
        job.process.send_signal(signal.SIGINT)
        assert job.end(STOP_TIMEOUT_S) == 130

    with url_counts(bridge, tmp_path / "other") as job:
        assert job.end() == 1
        assert len(job.errors()) == 1
        assert "the bridge has deleted the events 0 to " in job.errors()[0]


def test_without_java_it_says_what_is_missing(bridge: RealBridge, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "spark_job", "url-counts", "--bridges", bridge.address]
    ended = subprocess.run(
        [*command, "--job-folder", str(tmp_path / "job")],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "JAVA_HOME": str(tmp_path / "no-java")},
        capture_output=True,
        text=True,
        timeout=STOP_TIMEOUT_S,
        check=False,
    )
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert "is Java 17 or newer installed?" in ended.stderr
