"""The database of ``--sink`` among the settings of a job: read, checked early, and handed on to the job's process."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from spark_job.errors import OptionError
from spark_job.options.command_line import arguments, read_options
from spark_job.runner.job_settings import JobSettings
from spark_job.sinks.sink_spec import DATABASE

if TYPE_CHECKING:
    from pathlib import Path

URL = "postgresql://counter@db/counts?sslmode=verify-full"


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text("hidden\n", encoding="utf-8")
    return path


def test_what_is_given_reaches_the_process_of_the_job(password_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(password_file.parent)
    given = {"sinks": ["console", URL], "password_file": "password", "retry_for": "90s"}
    settings = read_options(JobSettings, given)
    (target,) = settings.databases()
    assert (str(target), target.password_file, target.retry_for) == (URL, password_file, timedelta(seconds=90))
    told = arguments(settings)
    assert {f"--sink={URL}", f"--password-file={password_file}", "--retry-for=1m30s"} <= set(told)
    assert "hidden" not in " ".join(told)
    assert [sink.kind for sink in settings.sinks] == ["console", DATABASE]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"sinks": ["postgresql://counter:hidden@db/counts"]}, "--password-file FILE"),
        ({"sinks": [URL], "password_file": "nowhere"}, "the password cannot be read: No such file"),
        ({"sinks": [URL], "retry_for": "soon"}, "--retry-for soon: not a length of time"),
        ({"sinks": ["mysql://db"]}, "--sink mysql://db: names no database"),
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_starts(given: dict[str, object], said: str) -> None:
    with pytest.raises(OptionError) as refused:
        read_options(JobSettings, given)
    assert said in str(refused.value)
    assert "hidden" not in str(refused.value)
