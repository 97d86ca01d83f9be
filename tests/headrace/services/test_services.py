"""What each container makes of its variables: configurations that the programs take."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import typer.main

from avro_bridge.config import load_config
from flume.config.render import render_texts
from headrace.services import bridge, spark
from headrace.services.agent import values_of_environment
from headrace.services.show_config import shown
from spark_job.cli import job_command
from tests.support.source_tree import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_the_bridges_configuration_is_one_that_the_bridge_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADRACE_LOG_MAX_BYTES", "99000000")
    (tmp_path / "bridge.toml").write_text(bridge.configuration())
    config = load_config(tmp_path / "bridge.toml")
    assert config.log.max_bytes == 99_000_000
    assert config.flight.token_file is not None
    assert config.flight.allow_plaintext


def test_the_agent_ships_to_one_bridge_or_balances_over_several(monkeypatch: pytest.MonkeyPatch) -> None:
    one = render_texts(values_of_environment())["agent.properties"]
    assert "hostname = bridge\n" in one
    assert "sinkgroups" not in one
    assert "deletePolicy = immediate" in one
    assert "channels.queue.type = file" in one
    monkeypatch.setenv("HEADRACE_BRIDGES", "p_bridge_1, p_bridge_2")
    two = render_texts(values_of_environment())["agent.properties"]
    assert "hostname = p_bridge_1\n" in two
    assert "hostname = p_bridge_2\n" in two
    assert "processor.type = load_balance" in two


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


def test_the_event_log_is_written_for_the_history_server_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert spark.defaults("s")["spark.eventLog.enabled"] == "false"
    monkeypatch.setenv("COMPOSE_PROFILES", "metrics,history")
    assert spark.defaults("s")["spark.eventLog.enabled"] == "true"
    assert spark.defaults("s")["spark.authenticate.secret"] == "s"


def test_what_is_shown_has_no_secret() -> None:
    for service in ("agent", "bridge", "driver"):
        assert shown(service)
    assert "spark.authenticate.secret (a secret)" in shown("driver")


def test_the_agents_image_needs_none_of_the_other_packages() -> None:
    code = (
        "import sys, headrace.services.agent, headrace.services.health; "
        "print([name for name in ('pyspark', 'avro_bridge', 'spark_job', 'numba', 'rich') if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"


def test_the_agents_lock_pins_what_the_projects_lock_pins() -> None:
    def pins(name: str) -> set[str]:
        lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
        return {line.split()[0] for line in lines if "==" in line}

    of_agent = pins("docker/agent-requirements.lock")
    assert of_agent
    assert of_agent <= pins("requirements.lock")


def test_a_service_that_does_not_exist_is_wrong_usage() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "headrace.services", "worker"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert "there are agent, bridge, spark-master" in ended.stderr
