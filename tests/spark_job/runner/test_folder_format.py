"""A job folder of another version is either gone on with or refused with a sentence that says what to do."""

from __future__ import annotations

import json
from importlib import metadata
from typing import TYPE_CHECKING

import pytest

from spark_job.errors import JobFolderError
from spark_job.runner import folder_format
from spark_job.runner.folder_format import FORMAT_FILE, FORMAT_VERSION, check_versions, record_versions
from spark_job.runner.job_folder import JobFolder

if TYPE_CHECKING:
    from pathlib import Path

SPARK = metadata.version("pyspark")
AFRESH = "or take a new job folder and, to count again"


def wrote(folder: Path, **fields: object) -> None:
    (folder / FORMAT_FILE).write_text(json.dumps({"format": FORMAT_VERSION, "spark": SPARK, **fields}))


def recorded(folder: Path) -> dict[str, object]:
    fields = json.loads((folder / FORMAT_FILE).read_bytes())
    assert isinstance(fields, dict)
    return fields


def program(monkeypatch: pytest.MonkeyPatch, *, writes: int, reads_from: int) -> None:
    """Be a program of another version from here on."""
    monkeypatch.setattr(folder_format, "FORMAT_VERSION", writes)
    monkeypatch.setattr(folder_format, "OLDEST_VERSION", reads_from)


def test_taking_a_folder_writes_down_whose_it_is(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path)
    for _ in range(2):
        with folder.locked():
            assert recorded(tmp_path) == {"format": FORMAT_VERSION, "spark": SPARK}


def test_a_folder_that_another_job_holds_is_not_touched(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path)
    with folder.locked():
        wrote(tmp_path, format=99)
        with pytest.raises(JobFolderError, match="another job"), folder.locked():
            pytest.fail("two jobs in one folder")


def test_a_newer_program_goes_on_and_the_older_one_refuses_from_then_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_versions(tmp_path)
    with monkeypatch.context() as newer:
        program(newer, writes=FORMAT_VERSION + 1, reads_from=FORMAT_VERSION)
        check_versions(tmp_path)
    with pytest.raises(JobFolderError, match=rf"a newer headrace \(format {FORMAT_VERSION + 1}, .*{AFRESH}"):
        check_versions(tmp_path)


def test_a_program_that_no_longer_knows_the_format_refuses_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_versions(tmp_path)
    program(monkeypatch, writes=FORMAT_VERSION + 2, reads_from=FORMAT_VERSION + 1)
    with pytest.raises(JobFolderError, match=rf"an older headrace \(format {FORMAT_VERSION}, .*{AFRESH}"):
        check_versions(tmp_path)
    assert recorded(tmp_path)["format"] == FORMAT_VERSION


def test_a_folder_from_before_there_was_the_file_is_of_the_first_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(monkeypatch, writes=2, reads_from=2)
    with pytest.raises(JobFolderError, match="an older headrace"):
        check_versions(tmp_path)


@pytest.mark.parametrize(("spark", "refused"), [("3.5.1", False), ("4.3.9", False), ("4.10.0", True), ("5.0.0", True)])
def test_a_checkpoint_of_a_newer_spark_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, spark: str, refused: bool
) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda _name: "4.3.0")
    wrote(tmp_path, spark=spark)
    if refused:
        with pytest.raises(JobFolderError, match=rf"written by Spark {spark}, this is Spark 4.3.0: use .*{AFRESH}"):
            check_versions(tmp_path)
        assert recorded(tmp_path)["spark"] == spark
    else:
        check_versions(tmp_path)
        assert recorded(tmp_path)["spark"] == "4.3.0"


def test_a_job_that_can_do_without_its_checkpoint_hears_that_it_must(tmp_path: Path) -> None:
    wrote(tmp_path, spark="99.0")
    folder = JobFolder(tmp_path)
    for _ in range(2):
        with folder.locked(checkpoint=False):
            assert folder.checkpoint_problem == f"it was written by Spark 99.0, this is Spark {SPARK}"
    assert recorded(tmp_path)["spark"] == "99.0", "a kill must not make the checkpoint look like one of this Spark"
    record_versions(tmp_path)
    with folder.locked(checkpoint=False):
        assert (folder.checkpoint_problem, recorded(tmp_path)["spark"]) == ("", SPARK)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "new", "spark": "4.3.0"}'])
def test_a_damaged_record_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / FORMAT_FILE).write_text(text)
    with pytest.raises(JobFolderError, match=r"format\.json: damaged"):
        check_versions(tmp_path)
