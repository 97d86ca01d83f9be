"""The job ``actions`` as a process, killed and cut off from database and bucket: its tables equal a recount each time.

Every run has five kills at random moments while objects keep coming. What is left at the end is compared with the
counts that were made when the objects were.
"""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING

import pytest

from headrace import jars_s3a
from spark_job.sinks.database import DatabaseUrl, parse_database_url
from tests.support.action_events import ActionEvents, ActionsProcess, put_into
from tests.support.databases import mariadb, postgresql
from tests.support.s3 import s3_server
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.support.databases import Server

__all__ = ["mariadb", "postgresql"]

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(900)]

KILLS = 5
OBJECTS_A_ROUND = 6
OUTAGE_S = 20.0
TIMEOUT_S = 300


class Feeder:
    """Puts objects in the background, a few a second, while a block runs."""

    def __init__(self, events: ActionEvents, put: Callable[[str, bytes], None]) -> None:
        self._events = events
        self._put = put
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._feed)

    def _feed(self) -> None:
        for _ in range(OBJECTS_A_ROUND):
            self._put(*self._events.make())
            if self._stop.wait(0.5):
                return

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def survive_kills(start: Callable[[], ActionsProcess], put: Callable[[str, bytes], None], seed: int) -> ActionEvents:
    """Kill the job five times at random moments while objects come; return what there is to count."""
    dice = random.Random(seed)  # noqa: S311 - moments, not secrets
    events = ActionEvents(dice)
    put(*events.make())
    for _ in range(KILLS):
        with start() as job:
            wait_until(job.runs, TIMEOUT_S, "the job to run")
            with Feeder(events, put):
                # Between the start of the first batch and some batches later.
                job_lives_s = dice.uniform(0, 6)
                threading.Event().wait(job_lives_s)
            job.kill()
    return events


def finish(job: ActionsProcess, events: ActionEvents, target: DatabaseUrl) -> None:
    """Wait until the tables hold all, stop the job in order, and look again."""
    wait_until(lambda: job.runs() and events.are_stored(target), TIMEOUT_S, "the tables to equal a recount")
    assert job.stop() == 0
    assert events.are_stored(target)
    last = job.errors.read_text().splitlines()[-1]
    assert last == f"records counted {sum(events.counts.values()):,} + malformed {events.malformed:,}"


def outage(
    job: ActionsProcess, cut_off: AbstractContextManager[None], events: ActionEvents, put: Callable[[], None]
) -> None:
    """Cut the job off for a while, in which objects come; the same process has to go on."""
    before = job.process.pid
    with cut_off:
        put()
        ends_s = time.monotonic() + OUTAGE_S
        while time.monotonic() < ends_s:
            assert job.runs()
            threading.Event().wait(0.5)
    assert job.process.pid == before
    assert events.objects


def test_a_file_and_a_folder_without_any_server(tmp_path: Path) -> None:
    objects = tmp_path / "objects"
    objects.mkdir()

    def put(name: str, body: bytes) -> None:
        put_into(objects, name, body)

    def start() -> ActionsProcess:
        return ActionsProcess(str(objects), tmp_path / "job")

    (tmp_path / "job").mkdir()
    target = parse_database_url(f"sqlite:///{tmp_path / 'job' / 'counts.db'}")
    events = survive_kills(start, put, seed=1)
    with start() as job:
        finish(job, events, target)


def test_a_second_job_folder_may_not_write_the_tables_of_the_first_unless_it_adopts_them(tmp_path: Path) -> None:
    objects, url = tmp_path / "objects", f"sqlite:///{tmp_path / 'shared.db'}"
    events, target = ActionEvents(random.Random(3)), parse_database_url(url)  # noqa: S311 - contents, not secrets
    put_into(objects, *events.make())

    def start(folder: str, *options: str) -> ActionsProcess:
        (tmp_path / folder).mkdir(exist_ok=True)
        return ActionsProcess(str(objects), tmp_path / folder, "--sink", url, *options)

    with start("first") as first:
        finish(first, events, target)
    with start("second") as second:
        assert second.process.wait(TIMEOUT_S) == 2
        said = second.errors.read_text().splitlines()[-1]
    assert said.startswith(f"error: {url}: the table actions")
    assert "belongs to the writer" in said
    assert said.endswith("take this table over with --adopt-table (in a program: adopt=True)")
    assert events.are_stored(target)
    put_into(objects, *events.make())
    with start("second", "--adopt-table") as second:
        finish(second, events, target)
    put_into(objects, *events.make())
    with start("first") as first:
        assert first.process.wait(TIMEOUT_S) == 2
    with start("second") as second:
        finish(second, events, target)


class stopped:  # noqa: N801 -- used like a function
    """A server that is down in a block."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def __enter__(self) -> None:
        self._server.stop()

    def __exit__(self, *_: object) -> None:
        self._server.start()


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("postgresql", marks=pytest.mark.postgresql),
        pytest.param("mariadb", marks=pytest.mark.mariadb),
    ],
)
def test_a_bucket_and_a_server(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    database: Server = request.getfixturevalue(kind)
    jars = jars_s3a.ensure_jars()[0].parent
    with s3_server(tmp_path) as bucket:

        def start() -> ActionsProcess:
            return ActionsProcess(
                bucket.path("events"),
                tmp_path / "job",
                *("--path-style", "--s3a-jars", str(jars), "--sink", database.url, "--retry-for", "2m"),
                *("--password-file", str(database.password_file)),
                environment=bucket.environment(),
            )

        events = survive_kills(start, bucket.put, seed=2)
        with start() as job:
            wait_until(lambda: job.runs() and events.are_stored(database.target), TIMEOUT_S, "all to be stored")
            outage(job, stopped(database), events, lambda: bucket.put(*events.make()))
            wait_until(
                lambda: job.runs() and events.are_stored(database.target),
                TIMEOUT_S,
                "the database's outage to be made good",
            )
            if kind == "postgresql":
                last = events.make()
                outage(job, bucket.suspended(), events, lambda: None)
                bucket.put(*last)
            finish(job, events, database.target)
