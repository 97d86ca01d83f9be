"""SIGKILL at any instant: what was acknowledged is in the log, once, under dense offsets."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING

import pytest

from avro_bridge.wire.protocol import Status
from tests.support.bridge_process import start_bridge
from tests.support.peers import Peer
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

KILLS = 10
SENDERS = 3
BATCH = 100


class Sender(threading.Thread):
    """Sends numbered batches on one connection after the other, each until it is acknowledged, as Flume does."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name)
        self.port = 0
        self.acknowledged = 0
        self.ended = threading.Event()

    def run(self) -> None:
        """Go on until told to end."""
        while not self.ended.is_set():
            try:
                with Peer(self.port) as peer:
                    self._send(peer)
            except OSError:
                continue

    def _send(self, peer: Peer) -> None:
        while not self.ended.is_set():
            numbers = range(self.acknowledged, self.acknowledged + BATCH)
            batch = [({"id": f"{self.name}-{number}"}, f"{self.name} {number}".encode()) for number in numbers]
            if peer.store(batch).status is Status.OK:
                self.acknowledged += BATCH


@pytest.mark.slow
def test_ten_kills_during_a_load_lose_and_double_nothing(tmp_path: Path) -> None:
    moments = random.Random(20150517)  # noqa: S311 - repeatable on purpose
    senders = [Sender(f"sender-{number}") for number in range(SENDERS)]
    bridge = start_bridge(tmp_path)
    try:
        for sender in senders:
            sender.port = bridge.avro_port
            sender.start()
        for _ in range(KILLS):
            goal = sum(sender.acknowledged for sender in senders) + moments.randrange(1, 60) * BATCH
            wait_until(lambda: sum(s.acknowledged for s in senders) >= goal, 60, f"{goal} events")  # noqa: B023
            bridge.kill()
            bridge = start_bridge(tmp_path)
            for sender in senders:
                sender.port = bridge.avro_port
        for sender in senders:
            sender.ended.set()
        for sender in senders:
            sender.join(60)
        now = bridge.status()
        table = bridge.read(0, now.next_offset)
    finally:
        for sender in senders:
            sender.ended.set()
        bridge.kill()
    assert table["offset"].to_pylist() == list(range(now.next_offset))
    bodies = table["body"].to_pylist()
    for sender in senders:
        mine = [int(body.split()[1]) for body in bodies if body.startswith(f"{sender.name} ".encode())]
        # In order and once each; the last batch may be stored without its answer having arrived.
        assert mine == list(range(len(mine)))
        assert len(mine) - sender.acknowledged in (0, BATCH)
