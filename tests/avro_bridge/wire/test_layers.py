"""Deflate, TLS and both orders of the two, with a client and a server joined in memory."""

from __future__ import annotations

import ssl
import zlib
from typing import TYPE_CHECKING

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from avro_bridge.errors import LayerError
from avro_bridge.wire.layer_detection import DetectedLayer, is_tls, is_zlib
from avro_bridge.wire.layers import DeflateLayer, Layer, PlainLayer, StackedLayers, TlsLayer
from avro_bridge.wire.limits import WireLimits
from avro_bridge.wire.protocol import Status
from avro_bridge.wire.server import ServerConnection
from tests.support.wire_client import ClientConnection

if TYPE_CHECKING:
    from collections.abc import Callable

LIMITS = WireLimits()
SMALL = WireLimits(max_inflated_bytes=100)


class Certificates:
    """A server's and a client's context that trust each other."""

    def __init__(self) -> None:
        authority = trustme.CA()
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("bridge.test").configure_cert(self.server)
        self.client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        authority.configure_trust(self.client)

    def client_layer(self) -> TlsLayer:
        return TlsLayer(self.client, server_side=False, server_hostname="bridge.test")


CERTIFICATES = Certificates()


def deflate() -> Layer:
    return DeflateLayer(LIMITS)


def server_tls() -> Layer:
    return TlsLayer(CERTIFICATES.server)


PAIRS: dict[str, tuple[Callable[[], Layer], Callable[[], Layer]]] = {
    "plain": (PlainLayer, PlainLayer),
    "deflate": (deflate, deflate),
    "tls": (CERTIFICATES.client_layer, server_tls),
    "deflate in tls (1.9)": (
        lambda: StackedLayers([CERTIFICATES.client_layer(), deflate()]),
        lambda: StackedLayers([server_tls(), deflate()]),
    ),
    "tls in deflate (1.11)": (
        lambda: StackedLayers([deflate(), CERTIFICATES.client_layer()]),
        lambda: StackedLayers([deflate(), server_tls()]),
    ),
}


def detected() -> DetectedLayer:
    return DetectedLayer(LIMITS, CERTIFICATES.server)


def receive(layer: Layer, data: bytes, step: int) -> bytes:
    """Hand bytes to a layer in pieces of ``step``."""
    pieces = [data[low : low + step] for low in range(0, len(data), step)]
    return b"".join(bytes(part) for piece in pieces for part in layer.receive(piece))


class Pipe:
    """Joins two layers; ``step`` is the size of the pieces that travel."""

    def __init__(self, client: Layer, server: Layer, step: int) -> None:
        self.client, self.server, self.step = client, server, step
        self.at_client = b""
        self.at_server = b""

    def exchange(self, to_server: bytes = b"", to_client: bytes = b"") -> None:
        """Carry bytes both ways until nobody has anything left to say."""
        while True:
            to_server += self.client.pending()
            to_client += self.server.pending()
            if not to_server and not to_client:
                return
            self.at_server += receive(self.server, to_server, self.step)
            to_server = b""
            self.at_client += receive(self.client, to_client + self.server.pending(), self.step)
            to_client = b""


@pytest.mark.parametrize("step", [1, 7, 10**6])
@pytest.mark.parametrize("detect", [False, True])
@pytest.mark.parametrize("name", PAIRS)
def test_calls_and_replies_pass_through(name: str, detect: bool, step: int) -> None:  # noqa: FBT001 - pytest's way
    make_client, make_server = PAIRS[name]
    pipe = Pipe(make_client(), detected() if detect else make_server(), step)
    client, server = ClientConnection(LIMITS), ServerConnection(LIMITS)
    for _ in range(3):
        pipe.exchange(to_server=pipe.client.send(client.append_batch([({"k": "v"}, b"body" * 400)] * 2)))
        ((call,), _) = server.receive(pipe.at_server)
        pipe.exchange(to_client=pipe.server.send(server.reply_ok(call)))
        ((reply,), _) = client.receive(pipe.at_client)
        assert reply.status is Status.OK
        pipe.at_client = pipe.at_server = b""
    pipe.exchange(to_server=pipe.client.close())
    pipe.exchange(to_client=pipe.server.close())
    assert pipe.at_client == pipe.at_server == b""
    assert pipe.server.close() == b""


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_of_tls(version: ssl.TLSVersion) -> None:
    certificates = Certificates()
    certificates.client.minimum_version = certificates.client.maximum_version = version
    pipe = Pipe(certificates.client_layer(), TlsLayer(certificates.server), 10**6)
    pipe.exchange(to_server=pipe.client.send(b"kept until the handshake is done"))
    assert pipe.at_server == b"kept until the handshake is done"


@given(st.lists(st.binary(max_size=2000), max_size=5), st.integers(1, 500))
def test_deflate_round_trips(sent: list[bytes], step: int) -> None:
    out, back = DeflateLayer(LIMITS), DeflateLayer(SMALL)
    for data in sent:
        assert receive(back, out.send(data), step) == data
    assert receive(back, out.close(), step) == b""


def test_a_compressed_flood_comes_in_bounded_pieces() -> None:
    data = DeflateLayer(LIMITS).send(bytes(1_000_000))
    pieces = [bytes(piece) for piece in DeflateLayer(SMALL).receive(data)]
    assert max(map(len, pieces)) == 100
    assert sum(map(len, pieces)) == 1_000_000
    # Who stops in the middle has inflated no more than was asked for.
    lazy = DeflateLayer(SMALL)
    assert len(bytes(next(iter(lazy.receive(data))))) == 100


def test_a_ratio_above_the_limit_is_refused_after_the_first_mebibyte() -> None:
    data = DeflateLayer(LIMITS).send(bytes(3 * 2**20))
    pieces = DeflateLayer(WireLimits(max_inflate_ratio=10)).receive(data)
    allowed = (2**20 + 10 * len(data)) // LIMITS.max_inflated_bytes
    assert len([next(pieces) for _ in range(allowed)]) == 4
    with pytest.raises(LayerError, match="compressed bytes became more than"):
        next(pieces)
    assert sum(len(bytes(piece)) for piece in DeflateLayer(LIMITS).receive(data)) == 3 * 2**20


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n", b"\x16\x03\x01\x00\x05hello", b"\x78\x9c\xff\xff\xff"])
def test_what_is_not_zlib_is_refused(data: bytes) -> None:
    with pytest.raises(LayerError, match="the compressed stream is broken"):
        list(DeflateLayer(LIMITS).receive(data))


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n\r\n", b"\x00\x00\x00\x01\x00\x00\x00\x02", b"\x16\x03\x01\x00\x05hello"]
)
def test_what_is_not_tls_is_refused_and_the_peer_told(data: bytes) -> None:
    layer = TlsLayer(CERTIFICATES.server)
    with pytest.raises(LayerError, match="TLS: "):
        list(layer.receive(data))
    assert layer.pending()[:1] in (b"\x15", b"")
    assert layer.close() == b""


def test_a_client_that_does_not_trust_says_so() -> None:
    pipe = Pipe(Certificates().client_layer(), TlsLayer(CERTIFICATES.server), 10**6)
    with pytest.raises(LayerError, match="CERTIFICATE_VERIFY_FAILED"):
        pipe.exchange(to_server=pipe.client.send(b"hello"))
    with pytest.raises(LayerError, match="TLS: "):
        list(pipe.server.receive(pipe.client.pending()))


def test_a_broken_record_is_refused() -> None:
    pipe = Pipe(CERTIFICATES.client_layer(), TlsLayer(CERTIFICATES.server), 10**6)
    pipe.exchange(to_server=pipe.client.send(b"hello"))
    record = bytearray(pipe.client.send(b"more"))
    record[-1] ^= 1
    with pytest.raises(LayerError, match="TLS: "):
        list(pipe.server.receive(bytes(record)))
    pipe.server.close()


def test_nothing_can_be_sent_after_the_farewell() -> None:
    pipe = Pipe(CERTIFICATES.client_layer(), TlsLayer(CERTIFICATES.server), 10**6)
    pipe.exchange(to_server=pipe.client.send(b"hello"))
    assert pipe.client.close()
    with pytest.raises(LayerError, match="TLS: "):
        pipe.client.send(b"more")


def test_marks() -> None:
    for level in range(10):
        assert is_zlib(zlib.compress(b"", level))
    assert not is_zlib(b"\x78\x00")
    assert not is_zlib(b"\x00\x00")
    assert is_tls(b"\x16\x03\x01")
    assert not is_tls(b"\x00\x00\x00\x01")


@pytest.mark.parametrize(
    ("name", "layer", "text"),
    [
        ("tls", DetectedLayer(LIMITS), "speaks TLS where this server does not"),
        ("tls in deflate (1.11)", DetectedLayer(LIMITS), "speaks TLS where this server does not"),
        ("plain", DetectedLayer(LIMITS, CERTIFICATES.server, require_tls=True), "does not speak TLS"),
        ("deflate", DetectedLayer(LIMITS, CERTIFICATES.server, require_tls=True), "does not speak TLS"),
    ],
)
def test_detection_refuses_what_is_not_allowed(name: str, layer: DetectedLayer, text: str) -> None:
    client = PAIRS[name][0]()
    data = client.send(ClientConnection(LIMITS).append({}, b"hello")) + client.pending()
    with pytest.raises(LayerError, match=text):
        list(layer.receive(data))


def test_detection_waits_for_two_bytes_and_has_nothing_to_say_before() -> None:
    layer = detected()
    assert list(layer.receive(b"\x00")) == []
    assert layer.pending() == layer.close() == b""
    with pytest.raises(LayerError, match="before the client's first bytes"):
        layer.send(b"hello")
    assert [bytes(piece) for piece in layer.receive(b"\x01")] == [b"\x00\x01"]
    assert layer.send(b"hello") == b"hello"


@settings(max_examples=100)
@given(st.sampled_from(["deflate", "tls", "both"]), st.data())
def test_mutated_streams_end_in_a_layer_error_at_most(kind: str, data: st.DataObject) -> None:
    layers: dict[str, Layer] = {
        "deflate": deflate(),
        "tls": server_tls(),
        "both": StackedLayers([deflate(), server_tls()]),
    }
    client: Layer = {"deflate": deflate, "tls": CERTIFICATES.client_layer, "both": PAIRS["tls in deflate (1.11)"][0]}[
        kind
    ]()
    stream = bytearray(client.send(b"some frame" * 5) + client.pending())
    for _ in range(data.draw(st.integers(1, 3))):
        # TLS greetings are random, and not all of one length.
        stream[data.draw(st.integers(0, 1000)) % len(stream)] = data.draw(st.integers(0, 255))
    try:
        received = receive(layers[kind], bytes(stream), data.draw(st.integers(1, 200)))
    except LayerError:
        layers[kind].pending()
    else:
        assert len(received) <= 10_000
