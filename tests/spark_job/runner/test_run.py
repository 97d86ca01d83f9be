"""The dispatch of jobs to machines. Each machine is tested on its own; here Java is missing, so each stops early."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, cast

import pytest

from spark_job.runner.job_settings import JobSettings
from spark_job.runner.run import run_job
from tests.support.bridges import RealBridge

if TYPE_CHECKING:
    from spark_job.runner.job import Job

ROOT = Path(__file__).parents[3]
CODE = """
import sys
from pathlib import Path
from threading import Event
from spark_job.errors import SparkJobError
from spark_job.jobs.catalog import load
from spark_job.options.command_line import read_options
from spark_job.runner.job_settings import JobSettings
from spark_job.runner.run import run_job

name, folder, bounded = sys.argv[1], Path(sys.argv[2]), sys.argv[3] == "bounded"
job = load(name)
objects = folder.parent / "objects"
objects.mkdir()
given = {"query": "SELECT * FROM flume"} if name == "sql" else {"path": str(objects)} if name == "actions" else {}
settings = JobSettings(bridges=sys.argv[4], job_folder=folder, bounded=bounded, drain_to_file=folder / "drain")
try:
    run_job(job, settings.of_job(name), read_options(job.options, given), Event())
except SparkJobError as error:
    print(type(error).__name__)
machines = ("objects.run", "structured.stream", "structured.batch", "dstreams.run")
print([each for each in machines if f"spark_job.runner.{each}" in sys.modules])
"""


@pytest.mark.parametrize(
    ("name", "kind", "machines"),
    [
        ("url-counts", "live", ["structured.stream"]),
        ("url-counts", "bounded", ["structured.stream", "structured.batch"]),
        ("sessions", "live", ["structured.stream"]),
        ("running-totals", "live", ["structured.stream"]),
        ("sql", "bounded", ["structured.stream", "structured.batch"]),
        ("actions", "live", ["objects.run"]),
        ("traffic", "live", ["dstreams.run"]),
    ],
)
def test_each_kind_of_job_gets_its_machine_and_no_other(
    tmp_path: Path, name: str, kind: str, machines: list[str]
) -> None:
    folder = tmp_path / "job"
    with RealBridge(tmp_path / "log") as bridge:
        ended = subprocess.run(
            [sys.executable, "-c", CODE, name, str(folder), kind, bridge.address],
            cwd=ROOT,
            env={"PATH": "/nowhere", "JAVA_HOME": str(tmp_path / "no-java"), "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=300,
            check=True,
        )
    error, loaded = ended.stdout.splitlines()[-2:]
    assert error == "QueryFailed"
    assert loaded == str(machines)
    progress = json.loads((folder / "progress.json").read_bytes())
    assert progress["state"] == "failed"


def test_what_is_no_job_is_refused() -> None:
    class Stranger:
        """Has the interface, and no machine."""

        def resolved(self, _options: Any) -> Stranger:
            return self

    with pytest.raises(TypeError, match="nothing here runs a Stranger"):
        run_job(cast("Job", Stranger()), JobSettings(), None, Event())
