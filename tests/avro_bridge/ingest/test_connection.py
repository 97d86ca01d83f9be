"""One connection over a real log, with a transport that records instead of a socket."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import pytest

from avro_bridge.config import ListenConfig
from avro_bridge.ingest.answers import AnswerQueue
from avro_bridge.ingest.connection import Connection, ConnectionContext
from avro_bridge.log.log import Log
from avro_bridge.log.settings import LogSettings, WriterSettings
from avro_bridge.log.writer import GroupCommitWriter
from avro_bridge.metrics import BridgeMetrics
from avro_bridge.wire.handshake import KnownProtocols
from avro_bridge.wire.layers import PlainLayer
from avro_bridge.wire.limits import WireLimits
from avro_bridge.wire.protocol import Status
from tests.support.log_helpers import MIB
from tests.support.peers import lines, lines_with_ids
from tests.support.wire_client import ClientConnection, Reply

if TYPE_CHECKING:
    from pathlib import Path

LIMITS = WireLimits()
TIMEOUT_S = 10


class Transport(asyncio.Transport):
    """Records what a connection does with its socket."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 5)})
        self.written = b""
        self.is_paused = False
        self.end = ""

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def is_closing(self) -> bool:
        return bool(self.end)

    def close(self) -> None:
        self.end = self.end or "closed"

    def abort(self) -> None:
        self.end = "aborted"


class Bench:
    """A log with its writer and what connections need; open connections count in ``admitted``."""

    def __init__(self, log: Log, writer: GroupCommitWriter, loop: asyncio.AbstractEventLoop) -> None:
        self.log = log
        self.writer = writer
        self.metrics = BridgeMetrics()
        self.changed = asyncio.Event()
        self.answers = AnswerQueue(self.metrics, lambda: self.now_s, self.changed.set)
        self.answers.start(loop)
        self.now_s = 100.0
        self.max_admitted = 10
        self.admitted: set[Connection] = set()
        self.rejected: list[tuple[str, str, str]] = []
        self.context = ConnectionContext(
            settings=ListenConfig(max_pending_calls=2, frame_timeout_s=7),
            limits=LIMITS,
            protocols=KnownProtocols(LIMITS),
            receive_buffer=memoryview(bytearray(MIB)),
            log=log,
            writer=writer,
            answers=self.answers,
            metrics=self.metrics,
            now_us=lambda: 42,
            monotonic_s=lambda: self.now_s,
            new_layer=PlainLayer,
            admit=self._admit,
            ended=self.admitted.discard,
            reject=lambda *about: self.rejected.append(about),
        )

    def _admit(self, connection: Connection) -> bool:
        if len(self.admitted) < self.max_admitted:
            self.admitted.add(connection)
        return connection in self.admitted

    def connect(self) -> tuple[Connection, Transport]:
        connection, transport = Connection(self.context), Transport()
        connection.connection_made(transport)
        return connection, transport

    def receive(self, connection: Connection, data: bytes) -> None:
        """Do what the event loop does with received bytes."""
        connection.get_buffer(-1)[: len(data)] = data
        connection.buffer_updated(len(data))

    async def until_answered(self, connection: Connection) -> None:
        while connection.pending_calls:
            self.changed.clear()
            await asyncio.wait_for(self.changed.wait(), TIMEOUT_S)

    def hold_writer(self) -> Callable[[], None]:
        """Keep the writer busy until the returned function is called."""
        gate = threading.Event()
        self.writer.call(lambda: gate.wait(TIMEOUT_S))
        return gate.set


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Callable[[Bench], Awaitable[None]]], None]:
    """Run a coroutine with a bench on an event loop."""

    def run_on_loop(body: Callable[[Bench], Awaitable[None]]) -> None:
        async def main() -> None:
            with (
                Log.open(tmp_path, LogSettings(max_bytes=4 * MIB)) as log,
                GroupCommitWriter(log, WriterSettings(max_queued_bytes=MIB)) as writer,
            ):
                await body(Bench(log, writer, asyncio.get_running_loop()))

        asyncio.run(main())

    return run_on_loop


def replies(client: ClientConnection, transport: Transport) -> list[Reply]:
    found, _again = client.receive(transport.written)
    transport.written = b""
    return found


Run = Callable[[Callable[[Bench], Awaitable[None]]], None]


def test_a_batch_is_stored_with_its_time_before_it_is_acknowledged(run: Run) -> None:
    async def body(bench: Bench) -> None:
        connection, transport = bench.connect()
        client = ClientConnection(LIMITS)
        bench.receive(connection, client.append_batch(lines(0, 3)))
        assert connection.pending_calls == 1
        assert transport.written == b""
        await bench.until_answered(connection)
        assert [reply.status for reply in replies(client, transport)] == [Status.OK]
        with bench.log.read(0, 3) as reader:
            assert next(reader).received_us == 42
        assert bench.metrics.registry.get_sample_value("headrace_bridge_received_events_total") == 3

    run(body)


def test_reading_pauses_at_the_bound_of_unanswered_calls_and_goes_on_below_it(run: Run) -> None:
    async def body(bench: Bench) -> None:
        connection, transport = bench.connect()
        client = ClientConnection(LIMITS)
        let_go = bench.hold_writer()
        paused = []
        for number in range(2):
            bench.receive(connection, client.append_batch(lines(number, 1)))
            paused.append(transport.is_paused)
        assert paused == [False, True]
        let_go()
        await bench.until_answered(connection)
        assert not transport.is_paused
        assert len(replies(client, transport)) == 2

    run(body)


def test_calls_before_malformed_bytes_are_answered_before_the_end(run: Run) -> None:
    async def body(bench: Bench) -> None:
        connection, transport = bench.connect()
        client = ClientConnection(LIMITS)
        let_go = bench.hold_writer()
        bench.receive(connection, client.append_batch(lines(0, 1)) + b"\xff" * 8)
        assert [(reason, peer) for reason, peer, _detail in bench.rejected] == [("frame", "192.0.2.1")]
        assert (transport.end, transport.is_paused) == ("", True)
        let_go()
        await bench.until_answered(connection)
        assert transport.end == "closed"
        assert [reply.status for reply in replies(client, transport)] == [Status.OK]

    run(body)


def test_a_full_log_is_answered_with_failed(run: Run) -> None:
    async def body(bench: Bench) -> None:
        connection, transport = bench.connect()
        client = ClientConnection(LIMITS)
        batch: list[tuple[dict[str, str], bytes]] = [({}, bytes(900_000))]
        for _batch in range(5):
            bench.receive(connection, client.append_batch(batch))
            await bench.until_answered(connection)
        statuses = [reply.status for reply in replies(client, transport)]
        assert statuses == [Status.OK] * 4 + [Status.FAILED]
        assert bench.answers.refusal is not None

    run(body)


def test_an_unfinished_frame_times_out_and_an_idle_connection_does_not(run: Run) -> None:
    async def body(bench: Bench) -> None:
        slow, slow_transport = bench.connect()
        idle, idle_transport = bench.connect()
        bench.receive(slow, ClientConnection(LIMITS).append_batch(lines(0, 5))[:-1])
        for connection in (slow, idle):
            connection.check_frame(begun_before_s=100.0)
        assert slow_transport.end == ""
        for connection in (slow, idle):
            connection.check_frame(begun_before_s=100.1)
        assert (slow_transport.end, idle_transport.end) == ("closed", "")
        assert bench.rejected == [("layer", "192.0.2.1", "a frame was begun and not completed within 7 s")]

    run(body)


def test_too_many_connections_are_aborted(run: Run) -> None:
    async def body(bench: Bench) -> None:
        bench.max_admitted = 1
        bench.connect()
        _connection, transport = bench.connect()
        assert transport.end == "aborted"
        assert bench.rejected == [("connections", "192.0.2.1", "too many connections")]

    run(body)


def test_only_a_connection_that_sent_a_batch_makes_suspects(run: Run) -> None:
    async def body(bench: Bench) -> None:
        sender, _transport = bench.connect()
        bench.receive(sender, ClientConnection(LIMITS).append_batch(lines_with_ids(0, 3)))
        await bench.until_answered(sender)
        scanner, _transport = bench.connect()
        scanner.connection_lost(None)
        assert await asyncio.wrap_future(bench.writer.call(lambda: bench.writer.suspects)) == 0
        sender.connection_lost(None)
        assert await asyncio.wrap_future(bench.writer.call(lambda: bench.writer.suspects)) == 1
        assert bench.admitted == set()

    run(body)


def test_a_draining_connection_reads_no_more_and_still_answers(run: Run) -> None:
    async def body(bench: Bench) -> None:
        connection, transport = bench.connect()
        client = ClientConnection(LIMITS)
        bench.receive(connection, client.append_batch(lines(0, 1)))
        connection.drain()
        await bench.until_answered(connection)
        assert transport.is_paused
        assert len(replies(client, transport)) == 1

    run(body)
