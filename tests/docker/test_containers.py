"""`make up` with real containers: the counts stay exact through stops, kills of each container, and scaling.

The tests share one project, since starting it takes most of the time. Each hands over copies of one real log and says
how many have been handed over in all, so their order does not matter.
"""

from __future__ import annotations

import json
import shutil
import urllib.request
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from headrace.cli.top import find_ranking
from spark_job.errors import SinkError
from tests.support.containers import ContainersProject, newest_table
from tests.support.logs import REAL_LOG, hits_of, lines_of
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.docker,
    pytest.mark.slow,
    pytest.mark.timeout(1200),
]

LINES = lines_of("real" if REAL_LOG.exists() else "made up")
HITS = hits_of(LINES).total()
TOP = dict(hits_of(LINES).most_common(3))
"""The numbers of the one log, counted without the program."""

COPIES_OF_A_LOAD = 4


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "access.log"
    path.write_bytes(b"".join(line + b"\n" for line in LINES))
    return path


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ContainersProject]:
    folder = tmp_path_factory.mktemp("containers")
    with ContainersProject(folder, COMPOSE_PROFILES="history,metrics,postgres") as made:
        shown = made.must_make("up")
        assert "make drop FILE=access.log" in shown
        assert f"http://127.0.0.1:{made.ports['HEADRACE_MASTER_UI_PORT']}" in shown
        yield made


def assert_exact(project: ContainersProject) -> None:
    """Every copy that was handed over is counted, once."""
    project.wait_counted(HITS * project.dropped)
    counted = project.counted()
    assert counted.total() == HITS * project.dropped
    assert {url: counted[url] for url in TOP} == {url: hits * project.dropped for url, hits in TOP.items()}
    # The database may be on its way back after a kill; the job waits for it as well.
    wait_until(lambda: project.counted_in_database() == counted, 120, "the database to have the same counts")


def fetch(port: int, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        return json.load(answer)


def test_the_corpus_is_counted_exactly_on_the_console_and_in_the_file(project: ContainersProject, corpus: Path) -> None:
    project.drop(corpus)
    assert_exact(project)
    said = ""
    with project.following_counts() as following:
        assert following.stdout is not None
        for line in following.stdout:
            said += line
            # The sum is the last line of a batch; earlier batches have smaller ones.
            if f"counted {HITS * project.dropped:,}" in line:
                break
    hits, shown = newest_table(said)
    assert hits == HITS * project.dropped
    assert {url: shown[url] for url in TOP} == {url: each * project.dropped for url, each in TOP.items()}


def test_after_down_and_up_nothing_is_counted_twice_and_a_file_moved_in_meanwhile_is_counted(
    project: ContainersProject,
    corpus: Path,
) -> None:
    if not project.dropped:
        project.drop(corpus)
    stopped = project.make("down")
    assert stopped.returncode == 0, stopped.stderr
    order = [line.partition("stopping: ")[2] for line in stopped.stderr.splitlines() if "stopping: " in line]
    assert [line for line in order if "counts" not in line] == [
        "agent",
        "driver",
        "spark-worker",
        "bridge, spark-master",
    ]
    assert project.engine.containers() == []
    # A plain move of a finished file, as people do it, with nobody there to read it yet.
    part = project.folder / "moved.log"
    shutil.copyfile(corpus, part)
    part.rename(project.spool / "moved-while-down.log")
    project.dropped += 1
    project.must_make("up")
    assert_exact(project)


@pytest.mark.parametrize("service", ["agent", "bridge", "spark-worker", "spark-master", "driver", "postgres"])
def test_a_container_that_is_killed_during_a_load_comes_back_and_the_counts_are_exact(
    project: ContainersProject, corpus: Path, service: str
) -> None:
    before = project.counted().total()
    project.drop(corpus, COPIES_OF_A_LOAD)
    wait_until(lambda: project.counted().total() > before, 120, "the load to be under way")
    killed = project.kill(service)
    assert project.counted().total() < HITS * project.dropped, "the load was over before the kill"
    project.wait_back(killed)
    assert_exact(project)


def test_scaled_out_both_workers_work_and_both_bridges_are_read(project: ContainersProject, corpus: Path) -> None:
    shown = project.must_make("scale", "WORKERS=2", "BRIDGES=2")
    assert "bridge (2)" in shown
    assert "spark-worker (2)" in shown
    project.drop(corpus, COPIES_OF_A_LOAD)
    assert_exact(project)
    stages = project.status()["stages"]
    positions = stages["job"]["positions"]
    assert positions == stages["bridge"]["next_offsets"]
    assert len(positions) == 2
    assert all(offset > 0 for offset in positions.values())
    port = project.ports["HEADRACE_MASTER_UI_PORT"]
    application = fetch(port, "/json/")["activeapps"][0]["id"]
    executors = fetch(port, f"/proxy/{application}/api/v1/applications/{application}/executors")
    worked = {each["hostPort"].partition(":")[0] for each in executors if each["id"] != "driver" and each["totalTasks"]}
    assert len(worked) == 2, executors
    fewer = project.make("scale", "BRIDGES=1")
    assert fewer.returncode != 0
    assert "none can go" in fewer.stderr


def test_nothing_on_the_host_belongs_to_another_account(project: ContainersProject) -> None:
    found = {
        path: (path.stat().st_uid, path.stat().st_gid)
        for folder in ("spool", "out", "secrets")
        for path in (project.folder / folder, *(project.folder / folder).rglob("*"))
    }
    assert {path: owner for path, owner in found.items() if owner != project.owner} == {}
    assert project.owner[0] != 0


def test_prometheus_sees_every_stage_and_the_history_server_the_job(project: ContainersProject) -> None:
    def reached() -> set[str]:
        answer = fetch(project.ports["HEADRACE_PROMETHEUS_PORT"], "/api/v1/targets?state=active")
        targets = answer["data"]["activeTargets"]
        down = {each["labels"]["job"] for each in targets if each["health"] != "up"}
        return {each["labels"]["job"] for each in targets} - down

    stages = {"bridge", "job", "spark-master", "spark-worker", "prometheus"}
    wait_until(lambda: reached() == stages, 90, "Prometheus to reach every stage")

    def applications() -> list[Any]:
        found = fetch(project.ports["HEADRACE_HISTORY_PORT"], "/api/v1/applications")
        return found if isinstance(found, list) else []

    wait_until(applications, 90, "the history server to list the job")


def test_the_database_answers_on_this_machine_with_its_password_only(project: ContainersProject, corpus: Path) -> None:
    if not project.dropped:
        project.drop(corpus)
    assert_exact(project)
    url = str(project.database)
    ranking = find_ranking(
        project.folder, url, project.database.password_file, limit=3, last=timedelta(days=7), at=None
    )
    assert ranking.rows
    (project.folder / "wrong").write_text("wrong\n", encoding="utf-8")
    with pytest.raises(SinkError, match="password authentication failed"):
        find_ranking(project.folder, url, project.folder / "wrong", limit=3, last=None, at=None)


def test_the_configuration_is_shown_with_origins_and_without_secrets(project: ContainersProject) -> None:
    shown = project.must_make("config")
    assert "HEADRACE_WINDOW=7d" in shown
    assert "# environment" in shown
    assert "headrace.sinks" in shown, "the agent's configuration, as it runs"
    assert "--window=7d" in shown
    for name in ("bridge-token", "spark-secret", "database-password"):
        secret = (project.folder / "secrets" / name).read_text().strip()
        assert secret
        assert secret not in shown


def test_up_with_another_folder_does_not_give_old_data_new_secrets(project: ContainersProject, tmp_path: Path) -> None:
    ended = project.make("up", f"CONTAINERS={tmp_path / 'elsewhere'}")
    assert ended.returncode != 0
    assert "was it moved?" in ended.stderr
    assert not (tmp_path / "elsewhere" / "secrets").exists()
