"""JSON events: accepted values, malformed events with their reasons, and one row for every event."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_job.parse.json_objects import parse_objects
from spark_job.parse.schema import MAX_RAW_BYTES

FIELDS = {"name": "string", "count": "long", "value": "double", "on": "boolean", "time": "timestamp"}
GOOD: dict[str, Any] = {"name": "a", "count": 1, "value": 1.5, "on": True, "time": "2026-05-01T10:00:00Z"}


def row(body: bytes | None) -> dict[str, Any]:
    return parse_objects([body], FIELDS).row(0, named=True)


def changed(**fields: Any) -> bytes:
    return json.dumps(GOOD | fields).encode()


def test_a_whole_event_has_its_fields_and_no_error() -> None:
    assert row(changed(other=[1, 2])) == {
        **GOOD,
        "time": datetime(2026, 5, 1, 10, tzinfo=UTC),
        "raw": None,
        "error": None,
    }


@pytest.mark.parametrize(
    ("field", "value", "meant"),
    [
        ("value", 3, 3.0),
        ("count", -(1 << 63), -(1 << 63)),
        ("time", 0, datetime(1970, 1, 1, tzinfo=UTC)),
        ("time", 1.25, datetime(1970, 1, 1, 0, 0, 1, 250_000, tzinfo=UTC)),
        ("time", "2026-05-01T10:00:00", datetime(2026, 5, 1, 10, tzinfo=UTC)),
        ("time", "2026-05-01T10:00:00.000001+05:30", datetime(2026, 5, 1, 4, 30, 0, 1, tzinfo=UTC)),
        ("name", "", ""),
        ("name", "\x00\x1b[2J", "\x00\x1b[2J"),
    ],
)
def test_values_that_are_taken(field: str, value: object, meant: object) -> None:
    found = row(changed(**{field: value}))
    assert found["error"] is None
    assert found[field] == meant


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (None, "empty line"),
        (b"  ", "empty line"),
        (b"{", "not a JSON object"),
        (b"[1]", "not a JSON object"),
        (b"\xff", "not a JSON object"),
        (b"[" * 100_000, "not a JSON object"),
        (b'{"value": NaN}', "not a JSON object"),
        (b'{"value": ' + b"9" * 5_000 + b"}", "not a JSON object"),
        (b'{"name": "a"}', "a field is missing: count"),
        (changed(name=None), "a field is missing: name"),
        (changed(name=5), "a field has the wrong type: name"),
        (changed(name="\ud800"), "a field has the wrong type: name"),
        (changed(count=1.0), "a field has the wrong type: count"),
        (changed(count=True), "a field has the wrong type: count"),
        (changed(count=1 << 63), "a field has the wrong type: count"),
        (changed(value="1.5"), "a field has the wrong type: value"),
        (changed(value=False), "a field has the wrong type: value"),
        (changed(value=10**400), "a field has the wrong type: value"),
        (changed(on=1), "a field has the wrong type: on"),
        (changed(time="yesterday"), "a field has the wrong type: time"),
        (changed(time=1e18), "a field has the wrong type: time"),
        (changed(time="0001-01-01T00:00:00+14:00"), "a field has the wrong type: time"),
        (changed(time=True), "a field has the wrong type: time"),
    ],
)
def test_what_is_malformed_and_why(body: bytes | None, reason: str) -> None:
    found = row(body)
    assert found["error"] == reason
    assert [found[name] for name in FIELDS] == [None] * len(FIELDS)
    assert found["raw"] == (body or b"").decode("utf-8", "replace")[:MAX_RAW_BYTES]


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=60),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
                lambda inner: (
                    st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(list(FIELDS)), inner, max_size=5)
                ),
                max_leaves=8,
            ).map(lambda value: json.dumps(value).encode()),
        ),
        max_size=8,
    )
)
def test_every_event_comes_out_as_one_row_of_one_kind(bodies: list[bytes]) -> None:
    found = parse_objects(bodies, FIELDS)
    assert len(found) == len(bodies)
    for each in found.iter_rows(named=True):
        fields = [each[name] is None for name in FIELDS]
        assert all(fields) if each["error"] is not None else not any(fields)
        assert (each["raw"] is None) == (each["error"] is None)


@given(
    st.fixed_dictionaries(
        {
            "name": st.text(alphabet=st.characters(exclude_categories=["Cs"])),
            "count": st.integers(-(1 << 63), (1 << 63) - 1),
            "value": st.floats(allow_nan=False, allow_infinity=False),
            "on": st.booleans(),
            "time": st.datetimes(
                datetime(1, 1, 3),  # noqa: DTZ001 -- bounds of hypothesis have no zone
                datetime(9999, 12, 28),  # noqa: DTZ001 -- as above
                timezones=st.just(timezone(timedelta(hours=9))),
            ),
        }
    )
)
def test_what_is_written_is_read_back(event: dict[str, Any]) -> None:
    body = json.dumps(event | {"time": event["time"].isoformat()}).encode()
    assert row(body) == event | {"raw": None, "error": None}
