"""Avro's primitives, compared with fastavro."""

from __future__ import annotations

import io

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avro_bridge.errors import CallError
from avro_bridge.wire.avro_primitives import PrefixReader, encode_bytes, encode_long, encode_string

longs = st.integers(-(2**63), 2**63 - 1)


def by_fastavro(schema: str | dict[str, str], value: object) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), value)
    return out.getvalue()


def reader(data: bytes) -> PrefixReader:
    return PrefixReader(data, 0, CallError)


@given(longs)
def test_numbers(value: int) -> None:
    encoded = encode_long(value)
    assert encoded == by_fastavro("long", value)
    whole = reader(encoded + b"\xff")
    assert whole.read_long() == value
    assert whole.position == len(encoded)
    for end in range(len(encoded)):
        with pytest.raises(CallError, match="middle of a number"):
            reader(encoded[:end]).read_long()


@given(st.text(st.characters(codec="utf-8")), st.binary())
def test_text_and_bytes(text: str, data: bytes) -> None:
    assert encode_string(text) == by_fastavro("string", text)
    assert encode_bytes(data) == by_fastavro("bytes", data)
    both = reader(encode_string(text) + encode_bytes(data))
    assert both.read_string(10_000, "text") == text
    assert both.read_bytes(10_000, "data") == data


@pytest.mark.parametrize("encoded", [b"\x80" * 10 + b"\x00", b"\xff" * 9 + b"\x02"])
def test_numbers_beyond_64_bits_are_refused(encoded: bytes) -> None:
    with pytest.raises(CallError, match="64 bits"):
        reader(encoded).read_long()


@pytest.mark.parametrize("encoded", [encode_long(-1), encode_long(5) + b"abcde", encode_long(2**62)])
def test_lengths_out_of_bounds_are_refused_before_their_bytes(encoded: bytes) -> None:
    with pytest.raises(CallError, match="where 0 to 4 are allowed"):
        reader(encoded).read_bytes(4, "it")


def test_bytes_that_are_missing() -> None:
    with pytest.raises(CallError, match="beyond the end"):
        reader(encode_long(4) + b"abc").read_bytes(4, "it")


def test_text_that_is_none() -> None:
    with pytest.raises(CallError, match="it is not UTF-8"):
        reader(encode_bytes(b"\xff")).read_string(4, "it")


@pytest.mark.parametrize("branch", [-1, 2])
def test_branches_that_do_not_exist(branch: int) -> None:
    with pytest.raises(CallError, match="branches 0 to 1"):
        reader(encode_long(branch)).read_branch(2)


@given(st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=9), st.binary(max_size=9), max_size=5))
def test_metadata_is_passed_over(metadata: dict[str, bytes]) -> None:
    encoded = by_fastavro({"type": "map", "values": "bytes"}, metadata)
    whole = reader(encoded + b"next")
    whole.skip_metadata(1000)
    assert whole.read_fixed(4) == b"next"
    for end in range(len(encoded)):
        with pytest.raises(CallError):
            reader(encoded[:end]).skip_metadata(1000)


def test_metadata_with_block_sizes_is_passed_over() -> None:
    entry = encode_string("k") + encode_bytes(b"v")
    whole = reader(encode_long(-1) + encode_long(len(entry)) + entry + encode_long(1) + entry + b"\x00" + b"next")
    whole.skip_metadata(1000)
    assert whole.read_fixed(4) == b"next"


@pytest.mark.parametrize(
    ("metadata", "text"),
    [
        (encode_long(-1) + encode_long(-1), "impossible size"),
        (encode_long(-(2**63)) + encode_long(1), "impossible size"),
        (encode_long(2**62) + bytes(200), "more than 100 bytes"),
        (encode_long(1) + encode_long(101), "where 0 to 9"),
    ],
)
def test_metadata_is_bounded(metadata: bytes, text: str) -> None:
    with pytest.raises(CallError, match=text):
        reader(metadata + bytes(200)).skip_metadata(100)
