"""A job folder is refused when what is in it does not belong together, with a sentence that says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from spark_job.errors import JobFolderError
from spark_job.runner.job_folder import JobFolder
from tests.support.counts import QUERY


class Stored:
    """Results that are stored up to a micro-batch of a query."""

    path = Path("counts.db")

    def __init__(self, query: str | None = None, newest: int | None = None) -> None:
        self._query = query
        self._newest = newest

    def owner(self) -> str | None:
        return self._query

    def newest_batch(self) -> int | None:
        return self._newest


SETTINGS = {"window": "1m", "url": "path"}


def checkpoint(folder: JobFolder, query_id: str, newest: int) -> None:
    (folder.checkpoint.folder / "commits").mkdir(parents=True)
    (folder.checkpoint.folder / "metadata").write_text(f'{{"id":"{query_id}"}}')
    (folder.checkpoint.folder / "commits" / str(newest)).touch()


def test_the_same_settings_may_come_back(tmp_path: Path) -> None:
    for _ in range(2):
        JobFolder(tmp_path / "job").claim(SETTINGS)


def test_other_settings_are_refused_by_name(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path / "job")
    folder.claim(SETTINGS)
    with pytest.raises(JobFolderError, match=r"window was '1m' and is '5m'.*another job folder"):
        folder.claim(SETTINGS | {"window": "5m"})
    with pytest.raises(JobFolderError, match="zone was None and is 'UTC'"):
        folder.claim(SETTINGS | {"zone": "UTC"})


def test_a_setting_that_is_gone_is_left_out(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path / "job")
    folder.claim(SETTINGS | {"watermark": "10m"})
    folder.claim(SETTINGS, removed=("watermark",))
    with pytest.raises(JobFolderError, match="watermark was '10m' and is None"):
        folder.claim(SETTINGS)


def test_damaged_settings_are_refused(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path / "job")
    folder.settings.write_text("{")
    with pytest.raises(JobFolderError, match="damaged"):
        folder.claim(SETTINGS)


def test_two_jobs_in_one_folder_are_refused(tmp_path: Path) -> None:
    first, second = JobFolder(tmp_path / "job"), JobFolder(tmp_path / "job")
    with first.locked(), pytest.raises(JobFolderError, match="another job is running"), second.locked():
        pass
    with second.locked():
        pass


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JobFolderError, match="cannot be made"):
        JobFolder(tmp_path / "file" / "job")


def test_stored_batches_and_checkpoint_that_belong_together_pass(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path / "job")
    stored = Stored()
    folder.check(stored)
    stored = Stored(QUERY, 0)
    checkpoint(folder, QUERY, newest=0)
    folder.check(stored)
    stored = Stored(QUERY, 1)
    folder.check(stored)


def test_a_checkpoint_that_is_gone_or_anothers_is_refused(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path / "job")
    stored = Stored(QUERY, 0)
    with pytest.raises(JobFolderError, match="is gone or another's"):
        folder.check(stored)
    checkpoint(folder, "another query", newest=0)
    with pytest.raises(JobFolderError, match="is gone or another's"):
        folder.check(stored)


def test_stored_batches_that_are_behind_the_checkpoint_are_refused(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path / "job")
    checkpoint(folder, QUERY, newest=1)
    stored = Stored()
    with pytest.raises(JobFolderError, match="ends at micro-batch None, the checkpoint at 1"):
        folder.check(stored)
    stored = Stored(QUERY, 0)
    with pytest.raises(JobFolderError, match="ends at micro-batch 0, the checkpoint at 1"):
        folder.check(stored)
