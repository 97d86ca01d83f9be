"""Real agents for tests: small, in a folder of the test, and stopped when the test ends."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from flume.agent.process import Agent
from flume.config.render import render_agent
from flume.config.values import Values, default_values
from flume.errors import JavaMissing
from flume.jars.cache import ensure_jars
from flume.jars.java import find_java

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from flume.config.render import Rendered

READY_TIMEOUT_S = 90.0

_SMALL: Mapping[str, object] = {
    "channel.type": "file",
    "jvm.heap_mib": 192,
    # A test ends before the optimising compiler has paid for itself: it took a quarter of the agents' processor time.
    "jvm.options": ["-XX:TieredStopAtLevel=1"],
    "channel.capacity": 50_000,
    "channel.max_bytes": 67_108_864,
    "channel.min_free_bytes": 1024 * 1024,
    "spool.max_line_chars": 65_536,
    "spool.poll_delay_ms": 50,
}


def java_or_skip() -> Path:
    """Return the Java launcher, or skip the test where there is none."""
    try:
        return find_java()
    except JavaMissing as error:
        pytest.skip(str(error))


def agent_values(
    folder: Path,
    bridges: Sequence[tuple[str, int]] = (("127.0.0.1", 1),),
    changes: Mapping[str, object] | None = None,
) -> Values:
    """Values of a small agent that reads ``folder/spool`` (made if need be) and sends to ``bridges``.

    With ``channel.type`` memory in ``changes`` finished files are renamed, since nothing else is allowed.
    """
    spool = folder / "spool"
    spool.mkdir(parents=True, exist_ok=True)
    wanted: dict[str, object] = {
        **_SMALL,
        "spool.folder": str(spool),
        "channel.folder": str(folder / "channel"),
        "sinks.bridges": [{"host": host, "port": port} for host, port in bridges],
        **(changes or {}),
    }
    wanted.setdefault("spool.when_done", "delete" if wanted["channel.type"] == "file" else "rename")
    return default_values().changed(wanted)


def render_small(
    folder: Path,
    bridges: Sequence[tuple[str, int]] = (("127.0.0.1", 1),),
    changes: Mapping[str, object] | None = None,
) -> Rendered:
    """Render such an agent into ``folder/agent``."""
    return render_agent(agent_values(folder, bridges, changes), folder / "agent")


@contextmanager
def running_agent(
    folder: Path,
    bridges: Sequence[tuple[str, int]] = (("127.0.0.1", 1),),
    changes: Mapping[str, object] | None = None,
) -> Iterator[Agent]:
    """Run such an agent, ready with all its components; it is stopped on the way out.

    Called again with the same folder it goes on with what the last one left in the spool folder and the file channel.
    """
    java = java_or_skip()
    with Agent(render_small(folder, bridges, changes), ensure_jars(), java=java) as agent:
        agent.start()
        agent.wait_ready(READY_TIMEOUT_S)
        yield agent


def make_truststore(ca_certificate: Path, target: Path, kind: str, password: str) -> Path:
    """Make a truststore (``kind`` JKS or PKCS12) of one PEM certificate with the keytool beside the Java launcher."""
    keytool = java_or_skip().resolve().with_name("keytool")
    command = [str(keytool), "-importcert", "-noprompt", "-alias", "ca", "-file", str(ca_certificate)]
    command += ["-keystore", str(target), "-storetype", kind, "-storepass", password]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return target


def drop(folder: Path, name: str, content: bytes) -> Path:
    """Hand a file over as it has to be done: a dot-name in the same folder, then a rename; returns its path."""
    spool = folder / "spool"
    hidden, final = spool / f".{name}", spool / name
    hidden.write_bytes(content)
    hidden.rename(final)
    return final
