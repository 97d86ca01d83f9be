"""A job folder is refused when what is in it does not belong together, with a sentence that says what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from spark_job.errors import JobFolderError
from spark_job.runner.job_folder import JobFolder

if TYPE_CHECKING:
    from pathlib import Path


SETTINGS = {"window": "1m", "url": "path"}


def test_the_same_settings_may_come_back(tmp_path: Path) -> None:
    for _ in range(2):
        JobFolder(tmp_path / "job").claim(SETTINGS)


def test_other_settings_are_refused_by_name(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path / "job")
    folder.claim(SETTINGS)
    with pytest.raises(JobFolderError, match=r"window was '1m' and is '5m'.*another --state folder"):
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
