"""The Spark containers: settings of the cluster, and the command of the job."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import typer.main

from headrace.services import spark
from spark_job.cli import job_command

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_the_drivers_command_has_options_that_the_job_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    job = typer.main.get_command(job_command("url-counts"))
    known = {option for parameter in job.params for option in parameter.opts}
    monkeypatch.setenv("HEADRACE_BRIDGES", "a,b")
    monkeypatch.setenv("HEADRACE_SINKS", "console, jsonl:/out/x.jsonl")
    command = spark.driver_command()
    given = [word.partition("=")[0] for word in command if word.startswith("--")]
    assert set(given) - known == set()
    assert "--bridges=a:4142,b:4142" in command
    assert command[-2:] == ["--sink=console", "--sink=jsonl:/out/x.jsonl"]
    assert "--slide" not in given, "what nobody set is left to the job"
    monkeypatch.setenv("HEADRACE_SLIDE", "1m")
    assert "--slide=1m" in spark.driver_command()


def test_a_database_is_a_further_sink_with_a_password_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_DATABASE", "mariadb://user@host/db")
    assert spark.driver_command()[-2:] == [
        "--sink=mariadb://user@host/db",
        "--password-file=/run/secrets/database-password",
    ]


def test_the_event_log_is_written_for_the_history_server_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert spark.defaults("s")["spark.eventLog.enabled"] == "false"
    monkeypatch.setenv("COMPOSE_PROFILES", "metrics,history")
    assert spark.defaults("s")["spark.eventLog.enabled"] == "true"
    assert spark.defaults("s")["spark.authenticate.secret"] == "s"


def test_the_defaults_are_written_for_this_account_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text("from the file\n")
    monkeypatch.setattr(spark, "SPARK_SECRET_FILE", str(tmp_path / "secret"))
    monkeypatch.setattr(spark, "CONF_DIR", tmp_path / "conf")
    spark.write_defaults()
    written = tmp_path / "conf" / "spark-defaults.conf"
    assert "spark.authenticate.secret from the file\n" in written.read_text()
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
