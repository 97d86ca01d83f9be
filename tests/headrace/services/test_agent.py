"""The agent's container: values from variables, and a real Flume that stops in order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from flume.config.render import render_texts
from flume.jars.cache import ensure_jars
from headrace.services.agent import values_of_environment
from tests.support.agents import java_or_skip
from tests.support.source_tree import ROOT
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

RUN = """
import sys
from pathlib import Path
from headrace.services import agent
folder = Path(sys.argv[1])
agent.SPOOL, agent.CHANNEL, agent.FOLDER = str(folder / "spool"), str(folder / "channel"), folder / "agent"
agent.COMPONENTS, agent.AGENT_METRICS_PORT = folder / "components", 0
sys.exit(agent.run())
"""


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


def test_the_heap_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_AGENT_HEAP_MIB", "300")
    assert "-Xmx300m\n" in render_texts(values_of_environment())["jvm.options"]


@pytest.mark.java
def test_the_container_runs_flume_until_it_is_stopped(tmp_path: Path) -> None:
    java_or_skip()
    ensure_jars()
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "a.log").write_text("a line\n")
    command = [sys.executable, "-c", RUN, str(tmp_path)]
    environment = os.environ | {"HEADRACE_BRIDGES": "127.0.0.1"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE) as container:
        try:
            wait_until(lambda: not (tmp_path / "spool" / "a.log").exists(), 60, "the file to be read")
            names = (tmp_path / "components").read_text().split()
            container.send_signal(signal.SIGTERM)
            assert container.wait(60) == 0
        finally:
            container.kill()
        assert container.stdout is not None
        said = container.stdout.read()
    assert names == ["SOURCE.spool", "CHANNEL.queue", "SINK.bridge0_0"]
    assert b"INFO" in said
    # What is in the channel is for this account only.
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "channel").rglob("*")} == {0}
