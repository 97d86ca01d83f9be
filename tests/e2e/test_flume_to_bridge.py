"""The real agent and the real bridge: what is dropped into the spool folder is what the log holds, byte for byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trustme

from flume.agent.process import Agent
from flume.config.render import CONFIGURATION
from flume.jars.cache import ensure_jars
from tests.support.agents import READY_TIMEOUT_S, drop, java_or_skip, make_truststore, render_small, running_agent
from tests.support.bridge_process import running_bridge
from tests.support.delivery import (
    as_file,
    difference,
    headers_of,
    listening,
    numbered,
    place,
    wait_failures,
    wait_sent,
    wait_stored,
)
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.java

PASSWORD = "pass=word"  # noqa: S105 - of a truststore that lives as long as the test
UNEVEN = [b"", "première ligne, 日本語, 🙂".encode(), b'\ttabs\tand \\ "quotes"', b"x" * 60_000, b"", b"  blanks  "]


def rejected(page: str) -> float:
    """How many connections the bridge has closed because of what they sent."""
    samples = [line.rpartition(" ") for line in page.splitlines() if line.startswith("headrace_bridge_rejected_total{")]
    return sum(float(value) for _, _, value in samples)


@pytest.mark.parametrize("channel", ["memory", "file"])
def test_a_file_arrives_whole_in_order_and_once(tmp_path: Path, channel: str) -> None:
    lines = numbered(0, 3000) + UNEVEN + numbered(3000, 3000)
    with (
        running_bridge(tmp_path / "bridge") as bridge,
        running_agent(tmp_path, [place(bridge.avro_port)], {"channel.type": channel}) as agent,
    ):
        drop(tmp_path, "access.log", as_file(lines))
        wait_stored(bridge, len(lines))
        wait_sent(agent, len(lines))

        assert as_file(bridge.bodies()) == as_file(lines)
        headers = headers_of(bridge)
        assert all(each.keys() == {"id", "timestamp", "host", "basename"} for each in headers)
        assert len({each["id"] for each in headers}) == len(lines)
        assert {each["basename"] for each in headers} == {"access.log"}
        assert all(each["host"] and int(each["timestamp"]) > 0 for each in headers)
        # The durable count follows with the next commit, or with the upkeep of a second later.
        wait_until(lambda: bridge.status().counters["acknowledged_events"] == len(lines), 30, "the durable count")


@pytest.mark.parametrize("compression", ["deflate", "detect"])
def test_lines_arrive_deflated(tmp_path: Path, compression: str) -> None:
    lines = numbered(0, 3000) + UNEVEN
    with (
        running_bridge(tmp_path / "bridge", {"listen": {"compression": compression}}) as bridge,
        running_agent(
            tmp_path, [place(bridge.avro_port)], {"channel.type": "memory", "compression.type": "deflate"}
        ) as agent,
    ):
        drop(tmp_path, "access.log", as_file(lines))
        wait_sent(agent, len(lines))
        assert not difference(bridge.bodies(), lines)
        assert bridge.metric("headrace_bridge_received_bytes") < len(as_file(lines))


@pytest.mark.slow
@pytest.mark.parametrize(("agents", "wrong"), [("deflate", "none"), ("none", "deflate")])
def test_compression_on_one_side_only_stores_nothing_and_loses_nothing(
    tmp_path: Path, port: int, agents: str, wrong: str
) -> None:
    lines = numbered(0, 3000)
    folder = tmp_path / "bridge"
    changes = {"channel.type": "memory", "compression.type": agents}
    with (
        running_bridge(folder, listening(port, listen={"compression": wrong})) as bridge,
        running_agent(tmp_path, [place(port)], changes) as agent,
    ):
        drop(tmp_path, "access.log", as_file(lines))
        wait_until(lambda: rejected(bridge.page("metrics")[1]) >= 1, 30, "the bridge to refuse the stream")
        wait_failures(agent, 1)
        assert bridge.status().next_offset == 0
        assert bridge.stop() == 0

        with running_bridge(folder, listening(port, listen={"compression": agents})) as right:
            wait_sent(agent, len(lines))
            assert not difference(right.bodies(), lines)


def tls_changes(folder: Path, authority: trustme.CA, name: str) -> dict[str, object]:
    """Values of an agent that trusts one authority."""
    certificate, password = folder / f"{name}.pem", folder / f"{name}.password"
    authority.cert_pem.write_to_path(certificate)
    password.write_text(PASSWORD + "\n")
    store = make_truststore(certificate, folder / f"{name}.p12", "PKCS12", PASSWORD)
    return {
        "channel.type": "memory",
        "tls.enabled": True,
        "tls.truststore": str(store),
        "tls.truststore_type": "PKCS12",
        "tls.truststore_password_file": str(password),
    }


def server_section(folder: Path, authority: trustme.CA, name: str) -> dict[str, str]:
    """The bridge's certificate and key, from one authority."""
    folder.mkdir(exist_ok=True)
    issued = authority.issue_cert("127.0.0.1")
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    for number, piece in enumerate(issued.cert_chain_pems):
        piece.write_to_path(certificate, append=number > 0)
    issued.private_key_pem.write_to_path(key)
    return {"certificate": str(certificate), "key": str(key)}


def test_lines_arrive_over_tls(tmp_path: Path) -> None:
    lines = numbered(0, 3000) + UNEVEN
    authority = trustme.CA()
    settings = {"listen.tls": server_section(tmp_path / "tls", authority, "server")}
    with (
        running_bridge(tmp_path / "bridge", settings) as bridge,
        running_agent(tmp_path, [place(bridge.avro_port)], tls_changes(tmp_path, authority, "trusted")) as agent,
    ):
        drop(tmp_path, "access.log", as_file(lines))
        wait_sent(agent, len(lines))
        assert not difference(bridge.bodies(), lines)


def test_lines_arrive_over_tls_inside_deflate_from_an_agent_that_was_configured_elsewhere(tmp_path: Path) -> None:
    # Our own templates refuse the combination: Flume 1.11 compresses what it has encrypted.
    lines = numbered(0, 3000) + UNEVEN
    authority = trustme.CA()
    settings = {
        "listen": {"compression": "deflate"},
        "listen.tls": server_section(tmp_path / "tls", authority, "server"),
    }
    java = java_or_skip()
    with running_bridge(tmp_path / "bridge", settings) as bridge:
        rendered = render_small(tmp_path, [place(bridge.avro_port)], tls_changes(tmp_path, authority, "trusted"))
        configuration = rendered.folder / CONFIGURATION
        sink = f"{rendered.values.agent.name}.sinks.bridge0_0"
        configuration.write_text(f"{configuration.read_text()}\n{sink}.compression-type = deflate\n")
        with Agent(rendered, ensure_jars(), java=java) as agent:
            agent.start()
            agent.wait_ready(READY_TIMEOUT_S)
            drop(tmp_path, "access.log", as_file(lines))
            wait_sent(agent, len(lines))
            assert not difference(bridge.bodies(), lines)


@pytest.mark.slow
def test_an_agent_refuses_a_certificate_of_another_authority_and_keeps_its_lines(tmp_path: Path, port: int) -> None:
    lines = numbered(0, 3000)
    trusted, other = trustme.CA(), trustme.CA()
    folder = tmp_path / "bridge"
    impostor = listening(port, **{"listen.tls": server_section(tmp_path / "tls", other, "impostor")})
    genuine = listening(port, **{"listen.tls": server_section(tmp_path / "tls", trusted, "genuine")})
    with (
        running_bridge(folder, impostor) as bridge,
        running_agent(tmp_path, [place(port)], tls_changes(tmp_path, trusted, "trusted")) as agent,
    ):
        drop(tmp_path, "access.log", as_file(lines))
        wait_until(lambda: rejected(bridge.page("metrics")[1]) >= 1, 30, "the handshake to fail")
        wait_failures(agent, 1)
        assert bridge.status().next_offset == 0
        assert bridge.stop() == 0

        with running_bridge(folder, genuine) as right:
            wait_sent(agent, len(lines))
            assert not difference(right.bodies(), lines)


@pytest.mark.slow
@pytest.mark.parametrize("channel", ["memory", "file"])
def test_a_bridge_that_is_down_at_the_agents_start_gets_everything_later(
    tmp_path: Path, port: int, channel: str
) -> None:
    lines = numbered(0, 6000)
    with running_agent(tmp_path, [place(port)], {"channel.type": channel}) as agent:
        drop(tmp_path, "first.log", as_file(lines[:3000]))
        wait_failures(agent, 1)
        with running_bridge(tmp_path / "bridge", listening(port)) as bridge:
            drop(tmp_path, "second.log", as_file(lines[3000:]))
            wait_sent(agent, len(lines))
            assert not difference(bridge.bodies(), lines)
