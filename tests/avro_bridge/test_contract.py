"""The contract with readers: what bridge and Spark source send each other survives the way."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avro_bridge.contract import (
    MAX_CONSUMER_BYTES,
    LogStatus,
    Place,
    Ticket,
    is_consumer_name,
    read_json_object,
    schema,
)
from avro_bridge.errors import BadRequest


@given(st.text(), st.integers(0, 2**63), st.integers(0, 2**63), st.booleans())
def test_a_ticket_survives_the_way(log_id: str, one: int, other: int, headers: bool) -> None:  # noqa: FBT001 - given
    ticket = Ticket(log_id, min(one, other), max(one, other), headers)
    assert Ticket.from_bytes(ticket.to_bytes()) == ticket


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"start": 5, "end": 4}, "start 5 and end 4 are not a range"),
        ({"start": -1}, "start -1 and end 9 are not a range"),
        ({"start": "1"}, "start and end are integers"),
        ({"start": True}, "start and end are integers"),
        ({"log_id": 7}, "log_id is a string"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_ticket_is_refused(change: dict[str, Any], text: str) -> None:
    fields = {"log_id": "id", "start": 1, "end": 9, **change}
    with pytest.raises(BadRequest, match=text):
        Ticket.from_bytes(json.dumps(fields).encode())


def test_a_status_survives_the_way_and_a_newer_bridge_may_say_more() -> None:
    status = LogStatus(1, "id", 4, 9, 100, 1000, 2, {"spark": {"start": 4, "committed": 5}}, {"stored_events": 9})
    assert LogStatus.from_bytes(status.to_bytes()) == status
    newer = {**json.loads(status.to_bytes()), "weather": "fine"}
    assert LogStatus.from_bytes(json.dumps(newer).encode()) == status


@pytest.mark.parametrize("data", [b"[]", b"7", b"null", b"{", b"\xff"])
def test_what_is_no_json_object_is_refused_by_its_name(data: bytes) -> None:
    with pytest.raises(BadRequest, match="commit: not a JSON object"):
        read_json_object(data, "commit")


def test_no_body_is_an_empty_object() -> None:
    assert read_json_object(b"", "status") == {}


@pytest.mark.parametrize(
    ("text", "is_name"),
    [("spark", True), ("a b", True), ("", False), ("a\tb", False), ("\u202e", False), ("ü" * 101, False)],
)
def test_names_of_consumers(text: str, is_name: bool) -> None:  # noqa: FBT001 - a table
    assert is_consumer_name(text) is is_name


def test_a_name_may_have_as_many_bytes_as_the_contract_says() -> None:
    assert is_consumer_name("x" * MAX_CONSUMER_BYTES)
    assert not is_consumer_name("x" * (MAX_CONSUMER_BYTES + 1))


def test_headers_are_the_last_column_and_only_on_demand() -> None:
    assert schema(headers=False).names == ["offset", "received", "body"]
    assert schema(headers=False, blocks=True).names == ["offset", "count", "received", "place", "body"]
    assert schema(headers=True, blocks=True).names == ["offset", "count", "received", "place", "body", "headers"]
    with_headers = schema(headers=True)
    assert with_headers.names == ["offset", "received", "body", "headers"]
    assert with_headers.field("received").type == pa.timestamp("us", tz="UTC")
    assert not any(field.nullable for field in with_headers)


@given(st.binary(min_size=32, max_size=32), st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
def test_a_place_is_read_back(file_id: bytes, position: int, length: int) -> None:
    place = Place(file_id, position, length)
    assert len(place.to_bytes()) == 48
    assert Place.from_bytes(place.to_bytes()) == place


def test_the_bytes_of_a_place_are_fixed() -> None:
    # By the table in the docstring: other programs read this column too.
    place = Place(bytes(range(32)), 0x0102, 0x0A)
    assert place.to_bytes() == bytes(range(32)) + b"\x02\x01" + bytes(6) + b"\x0a" + bytes(7)


def test_a_ticket_of_a_reader_from_before_asks_for_no_blocks() -> None:
    assert not Ticket.from_bytes(b'{"log_id": "x", "start": 0, "end": 1, "headers": false}').blocks
