"""Sends lines to a bridge without Flume's agent, and reads them back without Spark.

    python -m avro_bridge serve &
    python examples/bridge_without_flume.py --avro 127.0.0.1:4141 --flight 127.0.0.1:4142 < access.log

The bridge speaks Flume's Avro RPC, so any Avro client can send to it: the ``avro`` package does the calls, and
:class:`FramedSocket` below adds the frames of Avro's Netty transport. Each event carries a header ``id``: if the answer
to a batch is lost and the batch is sent again, the bridge recognises its events by it and stores them once.
"""

from __future__ import annotations

import argparse
import json
import socket
import struct
import sys
import time
import uuid
from itertools import islice
from typing import TYPE_CHECKING, Any

import avro.ipc
import avro.protocol
import pyarrow.flight as flight

from avro_bridge.contract import LogStatus, Ticket
from avro_bridge.wire.protocol import FLUME_TEXT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

WORD = struct.Struct(">I")
BATCH_EVENTS = 1000
STARTS_WITHIN_S = 30.0


class FramedSocket:
    """One TCP connection, as the ``avro`` package wants it: a message out, a message in.

    A frame is a serial number, the number of its buffers, then each buffer with its length in front; all numbers have
    four bytes, big-endian. An answer has the serial number of its call.
    """

    def __init__(self, host: str, port: int) -> None:
        self.remote_name = f"{host}:{port}"
        self._socket = connected(host, port)
        self._stream = self._socket.makefile("rb")
        self._serial = 0

    def transceive(self, message: bytes) -> bytes:
        """Send a call and return the answer.

        Raises:
            ConnectionError: the bridge closed the connection. It may have stored the batch: send it again.
        """
        self._serial += 1
        self._socket.sendall(b"".join((WORD.pack(self._serial), WORD.pack(1), WORD.pack(len(message)), message)))
        serial, buffers = self._word(), self._word()
        if serial != self._serial:
            raise ConnectionError(f"{self.remote_name}: answer {serial} to call {self._serial}")
        return b"".join(self._exactly(self._word()) for _ in range(buffers))

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()
        self._socket.close()

    def _word(self) -> int:
        return int(WORD.unpack(self._exactly(WORD.size))[0])

    def _exactly(self, size: int) -> bytes:
        data = self._stream.read(size)
        if len(data) < size:
            raise ConnectionError(f"{self.remote_name}: the bridge closed the connection")
        return data


def connected(host: str, port: int) -> socket.socket:
    """Return a connection to a bridge that may have been started only now.

    Raises:
        OSError: no bridge answers.
    """
    gives_up_s = time.monotonic() + STARTS_WITHIN_S
    while True:
        try:
            return socket.create_connection((host, port), timeout=30)
        except ConnectionRefusedError:
            if time.monotonic() > gives_up_s:
                raise
            time.sleep(0.2)


def event(body: bytes) -> dict[str, Any]:
    """Return one event with a new id."""
    return {"headers": {"id": str(uuid.uuid4())}, "body": body}


def send(avro_address: str, events: Sequence[dict[str, Any]]) -> str:
    """Send the events as one batch and return the answer: ``OK``, or ``FAILED`` if the bridge has no room."""
    host, _, port = avro_address.rpartition(":")
    protocol = avro.protocol.parse(FLUME_TEXT)
    # The package greets with every call, Flume's protocol once on a connection: so each batch gets its own connection.
    connection = FramedSocket(host, int(port))
    try:
        requestor: Any = avro.ipc.Requestor(protocol, connection)  # type: ignore[no-untyped-call]
        # The package forgets to set this for the second requestor of a process.
        requestor.remote_protocol = protocol
        return str(requestor.request("appendBatch", {"events": list(events)}))
    finally:
        connection.close()


def batches(lines: Iterable[bytes]) -> Iterator[list[dict[str, Any]]]:
    """Give the lines as batches of events."""
    source = iter(lines)
    while batch := [event(line.rstrip(b"\r\n")) for line in islice(source, BATCH_EVENTS)]:
        yield batch


def read(flight_address: str) -> list[bytes]:
    """Return the bodies of all events that the bridge keeps, in the order of their offsets."""
    with flight.connect(f"grpc://{flight_address}") as client:
        (answer,) = client.do_action(flight.Action("status", json.dumps({}).encode()))
        status = LogStatus.from_bytes(answer.body.to_pybytes())
        ticket = Ticket(status.log_id, status.first_offset, status.next_offset)
        table = client.do_get(flight.Ticket(ticket.to_bytes())).read_all()
    return list(table["body"].to_pylist())


def main(arguments: Sequence[str] | None = None) -> int:
    """Send standard input, a line an event, then print how many events the bridge keeps."""
    parser = argparse.ArgumentParser(description="Send lines to a bridge and read them back.")
    parser.add_argument("--avro", default="127.0.0.1:4141", help="where the bridge takes events")
    parser.add_argument("--flight", default="127.0.0.1:4142", help="where the bridge serves readers")
    given = parser.parse_args(arguments)
    for batch in batches(sys.stdin.buffer):
        try:
            answer = send(given.avro, batch)
        except OSError as error:
            print(f"{given.avro}: no bridge took a batch of {len(batch):,} events: {error}")
            return 1
        if answer != "OK":
            print(f"{answer}: the bridge did not store a batch of {len(batch):,} events; send it again later")
            return 1
    print(f"the bridge keeps {len(read(given.flight)):,} events")
    return 0


if __name__ == "__main__":
    sys.exit(main())
