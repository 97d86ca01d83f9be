"""What the tests of agent and bridge together have in common: lines to send, and what became of them."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flume.agent.process import Agent
    from tests.support.bridge_process import RunningBridge, Settings

ARRIVAL_TIMEOUT_S = 60.0
"""Flume waits 5 s after each failure, whatever its settings."""


def numbered(first: int, count: int) -> list[bytes]:
    """Lines of an access log, each with a number of its own."""
    form = b'192.0.2.7 - - [17/May/2015:10:05:03 +0000] "GET /page/%07d HTTP/1.1" 200 512'
    return [form % number for number in range(first, first + count)]


def as_file(lines: Sequence[bytes]) -> bytes:
    """The file of these lines."""
    return b"".join(line + b"\n" for line in lines)


@contextmanager
def reserved_port() -> Iterator[int]:
    """Keep a port for servers of this test that come and go.

    The socket is bound but does not listen: until a server does (with SO_REUSEADDR, as asyncio sets it) connections
    are refused, and meanwhile the system gives the port to nobody else.
    """
    with socket.socket() as keeper:
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        keeper.bind(("127.0.0.1", 0))
        yield int(keeper.getsockname()[1])


def listening(port: int, **sections: dict[str, Any]) -> Settings:
    """Settings of a bridge on that port; keys of ``listen`` come on top."""
    return {**sections, "listen": {"port": port, **sections.get("listen", {})}}


def place(port: int) -> tuple[str, int]:
    """The port as the agent's values want it."""
    return "127.0.0.1", port


def wait_stored(bridge: RunningBridge, count: int) -> None:
    """Wait until the log has given out ``count`` offsets or more."""
    wait_until(lambda: bridge.status().next_offset >= count, ARRIVAL_TIMEOUT_S, f"{count} events in the log")


def wait_sent(agent: Agent, count: int) -> None:
    """Wait until the agent has an OK for ``count`` events: only then it will send nothing again."""

    def sent() -> bool:
        metrics = agent.poll()
        return metrics is not None and metrics.events_sent >= count

    wait_until(sent, ARRIVAL_TIMEOUT_S, f"the agent to have {count} events acknowledged")


def wait_failures(agent: Agent, count: int) -> None:
    """Wait until ``count`` sends or connections of the agent have failed."""

    def failed() -> bool:
        metrics = agent.poll()
        return metrics is not None and metrics.send_failures >= count

    wait_until(failed, ARRIVAL_TIMEOUT_S, f"{count} failures of the agent's sink")


def headers_of(bridge: RunningBridge) -> list[dict[str, str]]:
    """The headers of all events that are kept, in order."""
    now = bridge.status()
    return [dict(each) for each in bridge.read(now.first_offset, now.next_offset, headers=True)["headers"].to_pylist()]


def difference(found: Sequence[bytes], expected: Sequence[bytes]) -> str:
    """Say in one line where two lists part, and nothing when they are the same.

    pytest's own comparison of lists of this length takes minutes.
    """
    for number, (one, other) in enumerate(zip(found, expected, strict=False)):
        if one != other:
            return f"event {number} of {len(found)} is {one[:200]!r}, not {other[:200]!r}"
    return "" if len(found) == len(expected) else f"{len(found)} events, not {len(expected)}"
