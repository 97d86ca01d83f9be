"""Deflate and TLS in front of a real bridge, in every order that Flume's versions use."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest
import trustme

from avro_bridge.errors import LayerError
from avro_bridge.wire.layers import DeflateLayer, PlainLayer, StackedLayers, TlsLayer
from avro_bridge.wire.limits import WireLimits
from avro_bridge.wire.protocol import Status
from tests.support.bridge_process import running_bridge
from tests.support.peers import Peer, lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from avro_bridge.wire.layers import Layer
    from tests.support.bridge_process import RunningBridge

LIMITS = WireLimits()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def tls_bridge(tmp_path_factory: pytest.TempPathFactory, authority: trustme.CA) -> Iterator[RunningBridge]:
    folder = tmp_path_factory.mktemp("tls")
    server = authority.issue_cert("localhost")
    server.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    server.private_key_pem.write_to_path(folder / "key.pem")
    settings = {
        "listen": {"compression": "detect"},
        "listen.tls": {"certificate": str(folder / "cert.pem"), "key": str(folder / "key.pem")},
    }
    with running_bridge(folder, settings) as running:
        yield running


def tls_layer(authority: trustme.CA, version: ssl.TLSVersion | None = None) -> TlsLayer:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return TlsLayer(context, server_side=False, server_hostname="localhost")


STACKS: dict[str, Callable[[trustme.CA], Layer]] = {
    "TLS 1.2": lambda authority: tls_layer(authority, ssl.TLSVersion.TLSv1_2),
    "TLS 1.3": lambda authority: tls_layer(authority, ssl.TLSVersion.TLSv1_3),
    "deflate in TLS, as Flume 1.9": lambda authority: StackedLayers([tls_layer(authority), DeflateLayer(LIMITS)]),
    "TLS in deflate, as Flume 1.11": lambda authority: StackedLayers([DeflateLayer(LIMITS), tls_layer(authority)]),
}


@pytest.mark.parametrize("stack", STACKS)
def test_each_stack_of_layers_stores(tls_bridge: RunningBridge, authority: trustme.CA, stack: str) -> None:
    first = tls_bridge.status().next_offset
    with Peer(tls_bridge.avro_port, STACKS[stack](authority)) as peer:
        assert peer.store(lines(0, 1000)).status is Status.OK
        assert peer.store(lines(1000, 10)).status is Status.OK
    assert tls_bridge.status().next_offset == first + 1010


@pytest.mark.parametrize("layer", [PlainLayer, lambda: DeflateLayer(LIMITS)], ids=["plain", "deflate"])
def test_a_client_without_tls_is_refused(tls_bridge: RunningBridge, layer: Callable[[], Layer]) -> None:
    with Peer(tls_bridge.avro_port, layer()) as peer:
        peer.send(peer.wire.append_batch(lines(0, 1)))
        with pytest.raises((ConnectionError, LayerError)):
            peer.replies()


def test_a_client_that_distrusts_the_certificate_is_disconnected(tls_bridge: RunningBridge) -> None:
    before = tls_bridge.metric('headrace_bridge_rejected_total{reason="layer"}')
    with Peer(tls_bridge.avro_port, tls_layer(trustme.CA())) as peer:
        peer.send(peer.wire.append_batch(lines(0, 1)))
        with pytest.raises(LayerError):
            peer.replies()
        # The alert that says why is what a TLS client sends before it goes.
        peer.socket.sendall(peer._layer.pending())
        assert peer.is_closed()
    assert tls_bridge.metric('headrace_bridge_rejected_total{reason="layer"}') == before + 1


@pytest.mark.parametrize(("ours", "theirs"), [("none", "deflate"), ("deflate", "none")])
def test_compression_on_one_side_only_fails(tmp_path: Path, ours: str, theirs: str) -> None:
    layer: Layer = DeflateLayer(LIMITS) if theirs == "deflate" else PlainLayer()
    with running_bridge(tmp_path, {"listen": {"compression": ours}}) as bridge, Peer(bridge.avro_port, layer) as peer:
        peer.send(peer.wire.append_batch(lines(0, 1)))
        with pytest.raises((ConnectionError, LayerError)):
            peer.replies()
        assert bridge.status().next_offset == 0


def test_deflate_on_both_sides_stores(tmp_path: Path) -> None:
    with (
        running_bridge(tmp_path, {"listen": {"compression": "deflate"}}) as bridge,
        Peer(bridge.avro_port, DeflateLayer(LIMITS)) as peer,
    ):
        assert peer.store(lines(0, 5000)).status is Status.OK
        assert bridge.status().next_offset == 5000
