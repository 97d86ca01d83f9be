"""The real agent: it comes up whole, says what is missing, notices its dead source, and stops."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
import trustme

from flume.agent.metrics import read_metrics, spooling_source_failures
from flume.agent.process import LOG_FILE, Agent
from flume.config.render import CONFIGURATION
from flume.errors import AgentEnded, AgentError, AgentNotReady, SourceDied
from flume.jars.cache import ensure_jars
from tests.support.agents import drop, java_or_skip, make_truststore, render_small, running_agent
from tests.support.receiver import FAILED, OK, receiving
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flume.config.render import Rendered

pytestmark = pytest.mark.java

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("channel", ["memory", "file"])
def test_all_components_come_up_and_lines_arrive_with_their_headers(tmp_path: Path, channel: str) -> None:
    with receiving() as receiver, running_agent(tmp_path, [receiver.place], {"channel.type": channel}) as agent:
        drop(tmp_path, "access.log", "première\nzweite\n".encode())
        wait_until(lambda: len(receiver.bodies) == 2, 30, "both lines")
        metrics = agent.poll()

        assert receiver.bodies == ["première".encode(), b"zweite"]
        headers = [event["headers"] for batch in receiver.batches for event in batch]
        assert all(set(h) == {"id", "timestamp", "host", "basename"} for h in headers)
        assert len({h["id"] for h in headers}) == 2
        assert {h["basename"] for h in headers} == {"access.log"}
        assert metrics is not None
        assert metrics.events_read == 2
        done = tmp_path / "spool" / "access.log.COMPLETED"
        wait_until(lambda: not (tmp_path / "spool" / "access.log").exists(), 30, "the file to be marked or deleted")
        assert done.exists() == (channel == "memory")


def test_a_batch_is_bounded_in_bytes(tmp_path: Path) -> None:
    lines = [b"%06d" % i + b"x" * 9994 for i in range(100)]
    with receiving() as receiver, running_agent(tmp_path, [receiver.place], {"sinks.max_batch_bytes": 65_536}):
        drop(tmp_path, "long.log", b"\n".join(lines))
        wait_until(lambda: len(receiver.bodies) == len(lines), 30, "all lines")

        assert receiver.bodies == lines
        assert max(sum(len(event["body"]) for event in batch) for batch in receiver.batches) <= 65_536 + 10_000


def test_a_refused_batch_is_sent_again_with_the_same_ids(tmp_path: Path) -> None:
    with receiving() as receiver, running_agent(tmp_path, [receiver.place]):
        receiver.status = FAILED
        drop(tmp_path, "access.log", b"once\n")
        wait_until(lambda: receiver.refused, 30, "a refused batch")
        receiver.status = OK
        wait_until(lambda: receiver.bodies, 30, "the same line again")
        assert receiver.bodies == [b"once"]


@pytest.mark.parametrize(("kind", "with_password"), [("JKS", False), ("PKCS12", True)])
def test_lines_arrive_over_tls(tmp_path: Path, *, kind: str, with_password: bool) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    (tmp_path / "password").write_text("pass=word\n")
    changes = {
        "tls.enabled": True,
        "tls.truststore": str(make_truststore(tmp_path / "ca.pem", tmp_path / "trust", kind, "pass=word")),
        "tls.truststore_type": kind,
        "tls.truststore_password_file": str(tmp_path / "password") if with_password else "",
    }
    with receiving(context) as receiver, running_agent(tmp_path, [receiver.place], changes):
        drop(tmp_path, "access.log", b"secret\n")
        wait_until(lambda: receiver.bodies, 30, "the line")
        assert receiver.bodies == [b"secret"]


def test_lines_arrive_deflated(tmp_path: Path) -> None:
    with receiving(deflate=True) as receiver:
        with running_agent(tmp_path, [receiver.place], {"compression.type": "deflate"}):
            drop(tmp_path, "access.log", b"GET / HTTP/1.1\n" * 3000)
            wait_until(lambda: len(receiver.bodies) == 3000, 30, "all lines")
        assert set(receiver.bodies) == {b"GET / HTTP/1.1"}


@pytest.mark.parametrize("group", ["none", "load_balance", "failover"])
def test_two_bridges_of_which_one_is_down_get_everything_to_the_other(tmp_path: Path, group: str) -> None:
    with receiving() as receiver:
        bridges = [("127.0.0.1", 1), receiver.place]
        with running_agent(tmp_path, bridges, {"sinks.group": group}) as agent:
            for i in range(3):
                drop(tmp_path, f"{i}.log", b"%d\n" % i)
            wait_until(lambda: len(receiver.bodies) == 3, 60, "all lines")
            assert sorted(receiver.bodies) == [b"0", b"1", b"2"]
            metrics = agent.poll()
            assert metrics is not None
            assert metrics.send_failures > 0


def test_bytes_that_are_not_utf8_do_not_stop_the_source(tmp_path: Path) -> None:
    with receiving() as receiver, running_agent(tmp_path, [receiver.place]) as agent:
        drop(tmp_path, "bad.log", b"good\nb\xff\xfed\nafter\n")
        wait_until(lambda: len(receiver.bodies) == 3, 30, "three lines")
        assert receiver.bodies[2] == b"after"
        assert agent.poll() is not None


def rewritten(rendered: Rendered, old: str, new: str) -> Rendered:
    """Change the rendered configuration into one that the renderer would refuse."""
    configuration = rendered.folder / CONFIGURATION
    text = configuration.read_text()
    assert old in text
    configuration.write_text(text.replace(old, new))
    return rendered


def test_an_agent_without_one_of_its_components_is_not_ready_and_says_which(tmp_path: Path) -> None:
    java = java_or_skip()
    rendered = rewritten(render_small(tmp_path), "batch-size = 5000", "batch-size = 20000")
    with Agent(rendered, ensure_jars(), java=java) as agent:
        agent.start()
        # First everything else, so that a slow machine does not look like one with more missing.
        wait_until(
            lambda: (seen := agent.poll()) and seen.missing(rendered.components) == ("SINK.bridge0_0",), 60, "the rest"
        )
        with pytest.raises(AgentNotReady, match=r"not show SINK\.bridge0_0") as caught:
            agent.wait_ready(1.0)
    assert caught.value.missing == ("SINK.bridge0_0",)


def test_a_class_that_is_not_there_ends_the_agent_and_is_named(tmp_path: Path) -> None:
    java = java_or_skip()
    rendered = rewritten(render_small(tmp_path), "headrace.PromptAvroSink", "headrace.NoSuchSink")
    with Agent(rendered, ensure_jars(), java=java) as agent:
        agent.start()
        with pytest.raises(AgentEnded, match=r"Unable to load sink type: headrace\.NoSuchSink"):
            agent.wait_ready(30.0)


def test_a_dead_spooling_source_is_noticed_and_its_file_is_named(tmp_path: Path) -> None:
    with running_agent(tmp_path, changes={"channel.type": "memory"}) as agent:
        drop(tmp_path, "again.log", b"first\n")
        done = tmp_path / "spool" / "again.log.COMPLETED"
        wait_until(done.exists, 30, "the first file to be read")
        drop(tmp_path, "again.log", b"second\n")

        def died() -> SourceDied | None:
            try:
                agent.poll()
            except SourceDied as error:
                return error
            return None

        error = wait_until(died, 30, "the dead source to be noticed")
        assert error is not None
        assert "again.log" in str(error)
        assert agent.returncode is None


@contextmanager
def renaming(folder: Path) -> Iterator[None]:
    """Rename hidden files in a folder over and over: a listing that is under way finds some gone."""
    stop = threading.Event()
    names = [(folder / f".{number}", folder / f".renamed-{number}") for number in range(1000)]

    def rename() -> None:
        for one, other in cycle(names + [(other, one) for one, other in names]):
            if stop.is_set():
                return
            one.rename(other)

    for one, _other in names:
        one.touch()
    thread = threading.Thread(target=rename)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_a_source_that_could_not_list_its_folder_goes_on(tmp_path: Path) -> None:
    """It cannot while a file is renamed in it, as each file is that is handed over."""
    with receiving() as receiver, running_agent(tmp_path, [receiver.place]) as agent:
        with renaming(tmp_path / "spool"):
            wait_until(lambda: (m := agent.poll()) and spooling_source_failures(m), 60, "the listing to fail")
        drop(tmp_path, "later.log", b"later\n")
        wait_until(lambda: receiver.bodies, 30, "the line")
        assert any("listing directories" in error for error in agent.errors())


def test_a_folder_that_cannot_be_listed_for_long_is_an_error(tmp_path: Path) -> None:
    """As with a folder in it that the agent may not read."""
    ahead_s = [0.0]
    agent = Agent(render_small(tmp_path), ensure_jars(), clock=lambda: time.monotonic() + ahead_s[0])
    with agent, renaming(tmp_path / "spool"):
        agent.start()
        agent.wait_ready()
        wait_until(lambda: (m := agent.poll()) and spooling_source_failures(m) >= 5, 60, "the listing to fail")
        ahead_s[0] = 60.0
        with pytest.raises(SourceDied, match=r"(?s)cannot list .*spool.*listing directories"):
            agent.poll()


def test_sigterm_stops_it_and_the_file_channel_keeps_what_was_not_sent(tmp_path: Path) -> None:
    with running_agent(tmp_path) as agent:
        drop(tmp_path, "kept.log", b"kept\n")
        wait_until(lambda: (m := agent.poll()) and m.events_waiting == 1, 30, "the line in the channel")
        pid = agent.pid
        agent.stop()
        assert not psutil.pid_exists(pid)
        assert not agent.rendered.port_file.exists()
        assert agent.stop() == agent.returncode
    with receiving() as receiver, running_agent(tmp_path, [receiver.place]):
        wait_until(lambda: receiver.bodies, 30, "the line of the agent before")
        assert receiver.bodies == [b"kept"]


def test_an_agent_that_ends_by_itself_is_an_error(tmp_path: Path) -> None:
    with running_agent(tmp_path, changes={"channel.type": "memory"}) as agent:
        os.kill(agent.pid, signal.SIGKILL)
        wait_until(lambda: agent.returncode is not None, 10, "the process to end")
        with pytest.raises(AgentEnded, match="signal 9 by itself"):
            agent.poll()


def test_the_metrics_page_is_on_the_loopback_only_and_secrets_are_on_no_command_line(tmp_path: Path) -> None:
    with running_agent(tmp_path, changes={"channel.type": "memory"}) as agent:
        listening = [c.laddr for c in psutil.Process(agent.pid).net_connections() if c.status == psutil.CONN_LISTEN]
        assert {address.ip.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}
        assert agent.metrics_url is not None
        assert read_metrics(agent.metrics_url).missing(agent.rendered.components) == ()
        assert not any("truststore" in argument for argument in psutil.Process(agent.pid).cmdline())
        assert (agent.rendered.folder / LOG_FILE).stat().st_size > 0


def test_the_agent_stops_when_its_launcher_is_killed(tmp_path: Path) -> None:
    java_or_skip()
    ensure_jars()
    script = (
        "import sys, time; from pathlib import Path; from tests.support.agents import running_agent\n"
        "with running_agent(Path(sys.argv[1])) as agent:\n"
        "    print(agent.pid, flush=True); time.sleep(300)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as launcher:
        assert launcher.stdout is not None
        agent = psutil.Process(int(launcher.stdout.readline()))
        launcher.kill()
        launcher.wait(10)
    wait_until(lambda: not agent.is_running() or agent.status() == psutil.STATUS_ZOMBIE, 30, "the agent to stop")


def test_misuse_is_an_error(tmp_path: Path) -> None:
    rendered = render_small(tmp_path)
    agent = Agent(rendered, [], java=tmp_path / "nothing")
    assert agent.stop() is None
    assert agent.metrics_url is None
    with pytest.raises(AgentError, match="not started"):
        agent.poll()
    with pytest.raises(AgentError, match="cannot be started"):
        agent.start()
