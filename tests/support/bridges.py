"""A real log with a real Flight endpoint in this process: a bridge without its ingest side."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from avro_bridge.config import FlightConfig, TlsConfig
from avro_bridge.egress.server import FlightServer
from avro_bridge.log.log import Log
from avro_bridge.log.record import HEADER_SIZE, PayloadKind, PendingBatch
from avro_bridge.log.settings import LogSettings
from avro_bridge.log.writer import GroupCommitWriter
from avro_bridge.metrics import BridgeMetrics
from tests.support.avro_events import write

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Self

RECEIVED_US = 1_700_000_000_000_000


class RealBridge:
    """A log in ``folder`` and its endpoint; a context manager. May be started again on the same folder."""

    def __init__(self, folder: Path, *, port: int = 0, token: str | None = None, tls: TlsConfig | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.log = Log.open(folder, LogSettings(max_bytes=64 * 1024 * 1024))
        self._writer = GroupCommitWriter(self.log)
        self._server = FlightServer(FlightConfig(port=port, tls=tls), self.log, self._writer, BridgeMetrics(), token)
        self._thread = threading.Thread(target=self._server.serve, name="flight", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """Where it listens, as option ``bridges`` wants it."""
        return f"127.0.0.1:{self._server.port}"

    @property
    def log_id(self) -> str:
        """Id of its log."""
        return self.log.log_id

    def extend(self, bodies: Sequence[bytes], *, received_us: int = RECEIVED_US) -> None:
        """Store events as one batch; their header ``n`` is their number in it."""
        payload = write([({"n": str(number)}, body) for number, body in enumerate(bodies)])
        buffer = bytearray(HEADER_SIZE) + payload
        self.log.append([PendingBatch(buffer, HEADER_SIZE, len(bodies), PayloadKind.EVENTS, 1, received_us)])

    def retain(self) -> None:
        """Delete what every consumer has committed."""
        self.log.retain(time.time_ns() // 1000)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._writer.close()
        self.log.close()
