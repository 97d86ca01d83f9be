"""A newer program over what an older one left behind: bridge and job as processes, with their format versions bumped.

The newer program is this one with a higher number, since what it would do with the number is what is tested: go on
where it knows the old format, and leave everything as it is, with a sentence that says what to do, where it does not.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tarfile
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from headrace.drop import drop
from headrace.sample import SampleSettings
from tests.support.bridge_process import start_bridge, write_config
from tests.support.bridges import RealBridge
from tests.support.counting import line
from tests.support.headrace_run import HeadraceRun, make_sample
from tests.support.peers import Peer, lines
from tests.support.source_tree import ROOT

if TYPE_CHECKING:
    from pathlib import Path

NEWER_BRIDGE = """
import avro_bridge.log.record as record
record.FORMAT_VERSION, record.OLDEST_VERSION = {writes}, {reads_from}
from avro_bridge.cli import main
main()
"""
NEWER_JOB = """
import sys
import spark_job.runner.folder_format as versions
versions.FORMAT_VERSION, versions.OLDEST_VERSION = {writes}, {reads_from}
from spark_job.cli import main
sys.exit(main())
"""
START_TIMEOUT_S = 300


def program(text: str, *, writes: int, reads_from: int) -> tuple[str, ...]:
    """Return the command of a program of another version."""
    return (sys.executable, "-c", text.format(writes=writes, reads_from=reads_from))


def ended(*command: str) -> tuple[int, str]:
    """Run a command that is to end; return its exit code and what it said."""
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=START_TIMEOUT_S, check=False)
    return found.returncode, found.stderr


def test_a_bridge_is_upgraded_and_cannot_be_put_back(tmp_path: Path) -> None:
    old = start_bridge(tmp_path)
    with Peer(old.avro_port) as peer:
        peer.store(lines(0, 3))
    assert old.stop() == 0

    new = start_bridge(tmp_path, command=program(NEWER_BRIDGE, writes=3, reads_from=2))
    with Peer(new.avro_port) as peer:
        peer.store(lines(3, 2))
    assert new.log_id == old.log_id
    assert new.bodies() == [b"line %d" % number for number in range(5)]
    assert new.stop() == 0

    config = write_config(tmp_path / "again.toml", {"log": {"folder": str(tmp_path / "data")}})
    code, said = ended(sys.executable, "-m", "avro_bridge", "serve", "--config", str(config))
    assert code == 1
    assert "data/0 has format version 3, this program reads up to 2: start the program that wrote it" in said
    assert "Traceback" not in said


def test_a_bridge_that_no_longer_knows_the_format_leaves_the_log_to_the_one_that_does(tmp_path: Path) -> None:
    old = start_bridge(tmp_path)
    with Peer(old.avro_port) as peer:
        peer.store(lines(0, 3))
    assert old.stop() == 0

    config = write_config(tmp_path / "again.toml", {"log": {"folder": str(tmp_path / "data")}})
    newest = program(NEWER_BRIDGE, writes=4, reads_from=3)
    code, said = ended(*newest, "serve", "--config", str(config))
    assert code == 1
    assert "this program reads 3 to 4: let the program that wrote it serve the log until all is read" in said

    again = start_bridge(tmp_path)
    assert again.bodies() == [b"line 0", b"line 1", b"line 2"]
    assert again.stop() == 0


def drain(bridge: RealBridge, folder: Path, end: int, command: tuple[str, ...]) -> tuple[int, str]:
    """Let a job count up to ``end`` and end."""
    target = folder.with_name("drain.json")
    target.write_text(json.dumps({bridge.log_id: end}))
    options = {
        "bridges": bridge.address,
        "job-folder": str(folder),
        "window": "1m",
        "trigger": "0s",
        "driver-memory": "512m",
        "sink": f"jsonl:{folder.with_name('counts.jsonl')}",
        "drain-to-file": str(target),
    }
    return ended(*command, "url-counts", *(f"--{name}={value}" for name, value in options.items()))


@pytest.mark.spark
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_job_is_upgraded_counts_on_exactly_and_cannot_be_put_back(tmp_path: Path) -> None:
    this = (sys.executable, "-m", "spark_job")
    folder, out = tmp_path / "job", tmp_path / "counts.jsonl"
    with RealBridge(tmp_path / "log") as bridge:
        bridge.extend([line(second, f"/{second % 7}") for second in range(200)])
        code, said = drain(bridge, folder, 200, this)
        assert code == 0, said

        before = (folder / "counts.db").read_bytes()
        code, said = drain(bridge, folder, 200, program(NEWER_JOB, writes=4, reads_from=3))
        assert code == 2
        assert f"{folder} was made by an older headrace (format 2, this one knows 3 to 4): use that version, or" in said
        assert (folder / "counts.db").read_bytes() == before

        bridge.extend([line(second, f"/{second % 7}") for second in range(200, 300)])
        code, said = drain(bridge, folder, 300, program(NEWER_JOB, writes=3, reads_from=2))
        assert code == 0, said

        code, said = drain(bridge, folder, 300, this)
        assert code == 2
        assert f"{folder} was made by a newer headrace (format 3, this one knows up to 2): use that version, or" in said

    rows = [json.loads(text) for text in out.read_text().splitlines()]
    hits = Counter({(row["window_start"], row["url"]): row["hits"] for row in rows})
    assert hits == Counter((f"1970-01-01T00:{second // 60:02d}:00Z", f"/{second % 7}") for second in range(300))


STATE_OF_0_1_0 = ROOT / "tests" / "golden" / "state-folder-0.1.0.tar.gz"
"""Made on 2026-11-27 by headrace 0.1.0 at commit d5b4e95, before its modules moved: ``headrace sample --lines 600
--seed 1`` dropped into ``headrace run --state state --window 1m``, counted, stopped; without the stages' logs."""


@pytest.mark.java
@pytest.mark.spark
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_state_folder_of_the_version_before_goes_on(tmp_path: Path) -> None:
    with tarfile.open(STATE_OF_0_1_0) as archive:
        archive.extractall(tmp_path, filter="data")
    before = make_sample(tmp_path / "one.log", SampleSettings(lines=600, seed=1))
    after = make_sample(tmp_path / "two.log", SampleSettings(lines=400, seed=2))
    with HeadraceRun(tmp_path, "--window", "1m") as run:
        run.wait_ready()
        drop([tmp_path / "two.log"], run.state.spool)
        snapshot = run.wait_counted(1000)
        assert snapshot.job.counted == 1000, run.said()
        run.process.send_signal(signal.SIGTERM)
        assert run.process.wait(180) == 0, run.said()
    assert run.counted() == before + after
