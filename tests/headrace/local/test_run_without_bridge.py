"""``headrace job actions``: over files, from a bucket, stopped in order, and started again when it dies."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil
import pytest

from spark_job.sinks.database import parse_database_url
from tests.support.action_events import ROOT, ActionEvents, put_into
from tests.support.s3 import s3_server
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]

TIMEOUT_S = 240


def headrace(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "headrace.cli.app", "job", "actions", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@contextmanager
def running(*arguments: str, environment: dict[str, str] | None = None) -> Iterator[psutil.Popen]:
    """Run the command in the background; whatever happens, nothing of it is left."""
    command = [sys.executable, "-m", "headrace.cli.app", "job", "actions", *arguments]
    process = psutil.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **(environment or {})}
    )
    try:
        yield process
    finally:
        left = process.children(recursive=True) if process.is_running() else []
        for each in (process, *left):
            if each.is_running():
                each.kill()
        psutil.wait_procs([process, *left])
        process.stdout.close()
        process.stderr.close()


def test_files_are_read_and_their_counts_are_written(tmp_path: Path) -> None:
    events = ActionEvents(random.Random(3))  # noqa: S311 - made-up data
    names = []
    for _ in range(4):
        name, body = events.make()
        put_into(tmp_path, name, body)
        names.append(name)
    done = headrace("--once", *names, "--out", "actions.jsonl", cwd=tmp_path)
    total = sum(events.counts.values())
    assert done.returncode == 0, done.stderr
    read = f"records read {total + events.malformed:,} = counted {total:,} + malformed {events.malformed:,}"
    assert done.stdout == f"{read}\n"
    rows = [json.loads(line) for line in (tmp_path / "actions.jsonl").read_text(encoding="utf-8").splitlines()]
    assert list(rows[0]) == ["action", "window_start", "window_end", "count"]
    assert {(row["action"], int(row["window_start"][11:13])): row["count"] for row in rows} == events.counts
    assert rows == sorted(rows, key=lambda row: (row["action"], row["window_start"]))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "no objects are named; add --path s3a://bucket/prefix"),
        (("--path", "s3a://KEY:hidden@bucket/x"), "can see a key in a URL"),
        (("--once",), "--once needs files"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_starts(
    arguments: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    done = headrace(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert "hidden" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_bucket_is_followed_and_a_dead_job_is_started_again(tmp_path: Path) -> None:
    events = ActionEvents(random.Random(4))  # noqa: S311 - made-up data
    state = tmp_path / "state"
    (state / "job").mkdir(parents=True)
    target = parse_database_url(f"sqlite:///{state / 'job' / 'counts.db'}")
    with s3_server(tmp_path) as bucket:
        bucket.put(*events.make())
        options = ["--path", bucket.path("events"), "--path-style", "--state", str(state), "--trigger", "200ms"]
        with running(*options, environment=bucket.environment()) as command:
            wait_until(lambda: events.are_stored(target), TIMEOUT_S, "the first object to be counted")
            (job,) = command.children()
            job.kill()
            bucket.put(*events.make())
            wait_until(lambda: events.are_stored(target), TIMEOUT_S, "the object after the kill to be counted")
            command.send_signal(signal.SIGINT)
            said = command.communicate(timeout=120)[1].decode()
    assert command.returncode == 0
    assert "the job ended with exit code -9; it is started again in 1 s" in said
    assert bucket.environment()["AWS_SECRET_ACCESS_KEY"] not in said
