"""The bridge process: assembles the log and the servers, runs them, and stops them in the order of the data.

The order of a stop (SIGTERM or SIGINT): report not ready, stop accepting and reading, answer the calls in flight, stop
serving readers, sync and close the log. No acknowledged event depends on this order; it only spares Flume a resend.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import time
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING

import structlog

from avro_bridge.admin import AdminServer
from avro_bridge.egress.server import FlightServer
from avro_bridge.errors import ConfigError
from avro_bridge.flume_metrics import AgentCollector
from avro_bridge.ingest.server import IngestServer
from avro_bridge.log.folder_lock import claim_folder
from avro_bridge.log.group_commit import WriterHooks
from avro_bridge.log.log import Log
from avro_bridge.log.writer import GroupCommitWriter
from avro_bridge.metrics import BridgeMetrics, LogCollector
from avro_bridge.wire.events import count_events
from headrace.common.allocator import keep_freed_memory
from headrace.common.files import replace_file
from headrace.common.kernels import precompile

if TYPE_CHECKING:
    from pathlib import Path

    from avro_bridge.config import BridgeConfig
    from avro_bridge.errors import BridgeError
    from avro_bridge.log.retention import Deleted

LIVE_WITHIN_S = 5.0
"""The bridge is alive if its event loop runs a callback within this time."""

EMPTY_ARRAY = b"\0"

logger = structlog.get_logger("bridge")


class Bridge:
    """One log with its ingest, egress and admin servers.

    Promise: when ``run`` returns, everything acknowledged is on disk and every port is free again.
    """

    def __init__(self, config: BridgeConfig, ready_file: Path | None = None) -> None:
        self._config = config
        self._ready_file = ready_file
        self._ready = False
        self._stopping = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def stop(self) -> None:
        """Begin the stop. Call it on the loop's thread; a second call changes nothing."""
        self._stopping.set()

    async def run(self) -> None:
        """Serve until ``stop``.

        Raises:
            BridgeError: the log cannot be opened or the configuration cannot be used.
            OSError: an address cannot be bound.
        """
        precompile()
        config = self._config
        # The first call of a kernel costs numba a second of imports. No agent waits for that here.
        count_events(EMPTY_ARRAY, config.limits.wire_limits())
        # Opened in the order of the data and closed in the reverse one: readers first, then the writer, the log last.
        with ExitStack() as stack:
            log = stack.enter_context(self._open_log())
            metrics = BridgeMetrics()
            metrics.registry.register(LogCollector(log))
            if config.admin.agents:
                metrics.registry.register(AgentCollector(config.admin.agents))
            hooks = WriterHooks(
                # A lambda, because ``ingest`` needs the writer and is made after it.
                has_room_again=lambda: ingest.has_room_again(),
                deleted=_report_deleted,
                upkeep_failed=_report_upkeep,
            )
            writer = stack.enter_context(GroupCommitWriter(log, config.log.writer_settings(), hooks))
            ingest = IngestServer(config, log, writer, metrics, now_us=_now_us, monotonic_s=time.monotonic)
            egress = FlightServer(config.flight, log, writer, metrics, self._token())
            serving = threading.Thread(target=egress.serve, name="flight", daemon=True)
            serving.start()
            stack.callback(_stop_egress, egress, serving)
            admin = AdminServer(
                (config.admin.host, config.admin.port),
                metrics.registry,
                live=self._live,
                ready=lambda: self._trouble(writer.broken or ingest.refusal),
                status=egress.status,
            )
            stack.callback(admin.close)
            port = await ingest.start()
            admin.start()
            self._ready = True
            self._announce(log, port, egress.port, admin.port)
            await self._stopping.wait()
            logger.info("stopping")
            self._ready = False
            await ingest.drain()
        logger.info("stopped")

    def _open_log(self) -> Log:
        settings = self._config.log
        log = Log.open(
            claim_folder(settings.folder),
            settings.log_settings(),
        )
        now = log.metadata()
        logger.info(
            "log opened", folder=str(log.folder), log_id=now.log_id, first=now.first_offset, next=now.next_offset
        )
        return log

    def _token(self) -> str | None:
        path = self._config.flight.token_file
        if path is None:
            return None
        try:
            token = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"flight.token_file: {path}: {error}") from error
        if not token:
            raise ConfigError(f"flight.token_file: {path} is empty")
        return token

    def _announce(self, log: Log, avro_port: int, flight_port: int, admin_port: int) -> None:
        ports = {"avro_port": avro_port, "flight_port": flight_port, "admin_port": admin_port}
        logger.info("ready", log_id=log.log_id, **ports)
        if self._ready_file is not None:
            content = json.dumps({**ports, "log_id": log.log_id, "pid": os.getpid()})
            # Not durable: after a power cut no process listens, and the file must not say otherwise.
            replace_file(self._ready_file, content.encode(), durable=False)

    def _live(self) -> str | None:
        turned = threading.Event()
        try:
            self._loop.call_soon_threadsafe(turned.set)
        except RuntimeError:
            return "the event loop has ended"
        return None if turned.wait(LIVE_WITHIN_S) else f"the event loop has not run for {LIVE_WITHIN_S:g} s"

    def _trouble(self, refusal: BridgeError | None) -> str | None:
        if not self._ready:
            return "starting or stopping"
        return f"the log refuses batches: {refusal}" if refusal is not None else None


def _stop_egress(egress: FlightServer, serving: threading.Thread) -> None:
    egress.shutdown()
    serving.join()


def _report_deleted(deleted: Deleted) -> None:
    if deleted.unread_events:
        logger.warning("unread events dropped by age or size retention", **asdict(deleted))


def _report_upkeep(error: BaseException) -> None:
    logger.error("upkeep of the log failed; it is tried again", error=str(error))


def _now_us() -> int:
    return time.time_ns() // 1000


async def serve(config: BridgeConfig, ready_file: Path | None = None) -> None:
    """Run a bridge until SIGTERM or SIGINT."""
    keep_freed_memory(one_arena=True)
    bridge = Bridge(config, ready_file)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, bridge.stop)
    try:
        await bridge.run()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
