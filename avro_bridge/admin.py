"""The admin server: health, metrics and status over HTTP, on its own thread.

========== ===== ==============================================================================================
``/livez``  200  the ingest loop turned within the last seconds; else 503
``/readyz`` 200  the port is bound, the log accepted the last batch, no stop has begun; else 503
``/metrics``     Prometheus text: the bridge's metrics and, when configured, those of the Flume agents
``/status``      the Flight status as JSON
========== ===== ==============================================================================================
"""

from __future__ import annotations

import json
import threading
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

if TYPE_CHECKING:
    from collections.abc import Callable

    from prometheus_client import CollectorRegistry

    from avro_bridge.contract import LogStatus

# Each request has a thread, and a client that connects and sends nothing must not keep one for ever.
REQUEST_TIMEOUT_S = 10.0


class AdminServer:
    """Serves the pages. ``live`` and ``ready`` return None when all is well, else one sentence about the problem."""

    def __init__(
        self,
        address: tuple[str, int],
        registry: CollectorRegistry,
        *,
        live: Callable[[], str | None],
        ready: Callable[[], str | None],
        status: Callable[[], LogStatus],
    ) -> None:
        """Bind the address. The pages are served from ``start`` on."""

        def health(check: Callable[[], str | None]) -> tuple[int, str, bytes]:
            trouble = check()
            return (503 if trouble else 200), "text/plain; charset=utf-8", f"{trouble or 'ok'}\n".encode()

        pages: dict[str, Callable[[], tuple[int, str, bytes]]] = {
            "/livez": lambda: health(live),
            "/readyz": lambda: health(ready),
            "/metrics": lambda: (200, CONTENT_TYPE_LATEST, generate_latest(registry)),
            "/status": lambda: (200, "application/json", json.dumps(asdict(status())).encode()),
        }

        class Handler(BaseHTTPRequestHandler):
            timeout = REQUEST_TIMEOUT_S
            server_version = "headrace"
            sys_version = ""

            def do_GET(self) -> None:
                """Answer one of the four pages."""
                page = pages.get(self.path.partition("?")[0])
                code, kind, body = page() if page else (404, "text/plain; charset=utf-8", b"no such page\n")
                self.send_response(code)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("X-Content-Type-Options", "nosniff")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
                """Log nothing: a probe arrives every second."""

        self._server = ThreadingHTTPServer(address, Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="admin", daemon=True)

    @property
    def port(self) -> int:
        """The port that was bound."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Start serving."""
        self._thread.start()

    def close(self) -> None:
        """Stop serving and free the port."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
