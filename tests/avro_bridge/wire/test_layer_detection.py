"""Which layers the first two bytes of a connection announce; ``test_layers.py`` sends whole conversations."""

from __future__ import annotations

import ssl
import zlib

import pytest

from avro_bridge.errors import LayerError
from avro_bridge.wire.layer_detection import DetectedLayer, is_tls, is_zlib
from avro_bridge.wire.limits import WireLimits

LIMITS = WireLimits()
TLS_RECORD = b"\x16\x03\x01\x00\x05"


@pytest.mark.parametrize("level", range(10))
def test_every_level_of_zlib_is_recognised(level: int) -> None:
    start = zlib.compress(b"x", level)[:2]
    assert is_zlib(start)
    assert not is_tls(start)


@pytest.mark.parametrize("serial", [0, 1, 2, 1000, 2**24])
def test_a_young_plain_connection_is_neither(serial: int) -> None:
    start = serial.to_bytes(4)[:2]
    assert not is_zlib(start)
    assert not is_tls(start)


@pytest.mark.parametrize("start", [b"\x78\x02", b"\x68\x81", b"\x79\x9c"])
def test_a_header_that_does_not_check_is_no_zlib(start: bytes) -> None:
    assert not is_zlib(start)


def test_plain_bytes_pass_unchanged_from_the_first_one() -> None:
    layer = DetectedLayer(LIMITS)
    assert list(layer.receive(b"\x00")) == []
    assert b"".join(bytes(piece) for piece in layer.receive(b"\x00\x00\x01more")) == b"\x00\x00\x00\x01more"
    assert layer.send(b"reply") == b"reply"


def test_deflate_is_inflated_and_answered_with_deflate() -> None:
    layer = DetectedLayer(LIMITS)
    data = zlib.compress(b"\x00\x00frames")
    pieces = [bytes(piece) for cut in (data[:1], data[1:]) for piece in layer.receive(cut)]
    assert b"".join(pieces) == b"\x00\x00frames"
    assert zlib.decompressobj().decompress(layer.send(b"reply")) == b"reply"


def test_deflate_can_be_forbidden() -> None:
    data = zlib.compress(b"frames")
    layer = DetectedLayer(LIMITS, allow_deflate=False)
    assert b"".join(bytes(piece) for piece in layer.receive(data)) == data, "taken for plain; the frames refuse it"


@pytest.mark.parametrize("wrap", [bytes, zlib.compress], ids=["TLS", "TLS in deflate"])
def test_tls_without_a_certificate_is_refused(wrap: type[bytes]) -> None:
    with pytest.raises(LayerError, match="speaks TLS where this server does not"):
        list(DetectedLayer(LIMITS).receive(wrap(TLS_RECORD)))


@pytest.mark.parametrize("wrap", [bytes, zlib.compress], ids=["plain", "deflate"])
def test_a_required_tls_is_required_inside_of_deflate_too(wrap: type[bytes]) -> None:
    layer = DetectedLayer(LIMITS, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), require_tls=True)
    with pytest.raises(LayerError, match="does not speak TLS, which this server requires"):
        list(layer.receive(wrap(b"\x00\x00\x00\x01")))
