"""Sends prepared frames to a receiver, one call outstanding on each connection, as Flume's sinks do.

A separate process, so that its work is never counted as the receiver's. Prints one JSON object: events and seconds.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from avro_bridge.wire.limits import WireLimits
from benchmarks.frames import read_frames
from tests.support.wire_client import ClientConnection

if TYPE_CHECKING:
    from collections.abc import Sequence

REPLY_BYTES = 4096
OK = b"\0"
"""The last byte of a reply is the status, and nothing else is 0."""


def send(port: int, frames: Sequence[memoryview], ready: threading.Barrier, faults: list[str]) -> None:
    """Send ``frames`` on one connection; wait for each reply."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(ClientConnection(WireLimits()).append_batch([({}, b"handshake")]))
        connection.recv(REPLY_BYTES)
        ready.wait()
        for frame in frames:
            connection.sendall(frame)
            reply = connection.recv(REPLY_BYTES)
            if reply[-1:] != OK:
                faults.append(reply.hex())
                return


def main() -> int:
    """``python -m benchmarks.sender PORT FRAMES CONNECTIONS``."""
    port, path, connections = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    frames = read_frames(Path(path))
    ready = threading.Barrier(connections + 1)
    faults: list[str] = []
    threads = [
        threading.Thread(target=send, args=(port, frames[number::connections], ready, faults))
        for number in range(connections)
    ]
    for thread in threads:
        thread.start()
    ready.wait()
    began_s = time.perf_counter()
    for thread in threads:
        thread.join()
    json.dump({"seconds": time.perf_counter() - began_s, "faults": faults}, sys.stdout)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
