"""A URL is checked before anything is opened, and a password never stands in it."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import pytest

from spark_job.errors import OptionError
from spark_job.sinks.database import parse_database_url
from spark_job.sinks.database.url import PASSWORD_FILE_VARIABLE

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://counter:secret@db/counts",
        "postgresql://counter@db/counts?password=secret",
        "mariadb://counter:secret@db/counts",
        "mysql://counter@db/counts?passwd=secret",
    ],
)
def test_a_password_in_the_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(OptionError) as refused:
        parse_database_url(url)
    assert "secret" not in str(refused.value)
    assert "--password-file FILE" in str(refused.value)
    assert PASSWORD_FILE_VARIABLE in str(refused.value)


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("postgres://counter@db/counts", "did you mean postgresql://?"),
        ("oracle://db/counts", "the schemes are sqlite://, postgresql://, mariadb:// and mysql://"),
        ("postgresql+psycopg2://db/counts", "did you mean postgresql://?"),
        ("postgresql://counter@db", "names no database; write it like postgresql://user@host/database"),
        ("mariadb://counter@db:port/counts", "not a URL; write it like mariadb://user@host/database"),
        ("sqlite://", "names no file; write it like sqlite:///counts.db"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite://counts.db", "names no file"),
        ("sqlite://host/counts.db", "a file has no host"),
        ("sqlite:////no/such/folder/counts.db", "the folder /no/such/folder does not exist"),
        ("sqlite:////tmp", "this is a folder"),
    ],
)
def test_what_cannot_be_a_database_is_refused_with_what_would_be_right(url: str, hint: str) -> None:
    with pytest.raises(OptionError) as refused:
        parse_database_url(url, environment={})
    assert hint in str(refused.value)


def test_a_file_is_found_from_any_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    target = parse_database_url("sqlite:///counts.db")
    assert str(target) == f"sqlite:///{tmp_path / 'counts.db'}"
    assert target.dialect == "sqlite"


def test_the_password_is_the_first_line_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("p@ss:w/rd %\nsecond line\n", encoding="utf-8")
    target = parse_database_url("postgresql://counter@db/counts", file, environment={})
    assert target.with_password().password == "p@ss:w/rd %"  # noqa: S105 - made up here
    assert "p@ss" not in str(target) + repr(target)
    assert b"p@ss" not in pickle.dumps(target)


def test_the_password_file_may_come_from_the_environment(tmp_path: Path) -> None:
    for name in ("named", "given"):
        (tmp_path / name).write_text(f"{name}\n", encoding="utf-8")
    environment = {PASSWORD_FILE_VARIABLE: str(tmp_path / "named")}
    by_variable = parse_database_url("mariadb://counter@db/counts", environment=environment)
    assert by_variable.with_password().password == "named"  # noqa: S105 - made up here
    by_both = parse_database_url("mariadb://counter@db/counts", tmp_path / "given", environment=environment)
    assert by_both.with_password().password == "given"  # noqa: S105 - made up here


@pytest.mark.parametrize(("content", "reason"), [(None, "No such file"), (b"\n", "is empty"), (b"\xff\n", "not UTF-8")])
def test_a_password_file_that_holds_none_is_named(tmp_path: Path, content: bytes | None, reason: str) -> None:
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(OptionError, match=reason):
        parse_database_url("postgresql://counter@db/counts", file).with_password()


def test_options_of_the_driver_are_kept() -> None:
    url = "postgresql://counter@db/counts?sslmode=verify-full"
    assert str(parse_database_url(url, environment={})) == url
