"""The admin pages, served from functions that the test sets."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry, Gauge

from avro_bridge.admin import AdminServer
from avro_bridge.contract import LogStatus

if TYPE_CHECKING:
    from collections.abc import Iterator

STATUS = LogStatus(1, "id", 0, 7, 100, 1000, 0, consumers={"spark": {"start": 0, "committed": 5}})


class Pages:
    """A running server; ``trouble`` is what its checks find."""

    def __init__(self) -> None:
        self.trouble: dict[str, str | None] = {"live": None, "ready": None}
        registry = CollectorRegistry()
        Gauge("a_gauge", "For the test.", registry=registry).set(3)
        self.server = AdminServer(
            ("127.0.0.1", 0),
            registry,
            live=lambda: self.trouble["live"],
            ready=lambda: self.trouble["ready"],
            status=lambda: STATUS,
        )
        self.server.start()

    def get(self, page: str) -> tuple[int, str, str]:
        """Return code, content type and text of a page."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.server.port}{page}", timeout=10) as response:
                return response.status, response.headers["Content-Type"], response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers["Content-Type"], error.read().decode()


@pytest.fixture
def pages() -> Iterator[Pages]:
    made = Pages()
    yield made
    made.server.close()


@pytest.mark.parametrize("name", ["live", "ready"])
def test_health_is_503_with_the_reason_while_something_is_wrong(pages: Pages, name: str) -> None:
    assert pages.get(f"/{name}z") == (200, "text/plain; charset=utf-8", "ok\n")
    pages.trouble[name] = "the disk is full"
    assert pages.get(f"/{name}z") == (503, "text/plain; charset=utf-8", "the disk is full\n")
    other = {"live": "ready", "ready": "live"}[name]
    assert pages.get(f"/{other}z")[0] == 200


def test_status_is_the_contracts_json(pages: Pages) -> None:
    code, kind, text = pages.get("/status?pretty")
    assert (code, kind) == (200, "application/json")
    assert LogStatus.from_bytes(text.encode()) == STATUS
    assert json.loads(text)["consumers"]["spark"]["committed"] == 5


def test_metrics_are_those_of_the_registry(pages: Pages) -> None:
    code, kind, text = pages.get("/metrics")
    assert code == 200
    assert kind.startswith("text/plain; version=")
    assert "a_gauge 3.0" in text.splitlines()


def test_any_other_page_is_404(pages: Pages) -> None:
    assert pages.get("/")[0] == 404
    assert pages.get("/livez/")[0] == 404


def test_the_port_is_free_after_close(pages: Pages) -> None:
    port = pages.server.port
    pages.server.close()
    again = AdminServer(
        ("127.0.0.1", port), CollectorRegistry(), live=lambda: None, ready=lambda: None, status=lambda: STATUS
    )
    assert again.port == port
    again.close()
