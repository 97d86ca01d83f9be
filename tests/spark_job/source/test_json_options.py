"""The options of the source json_events: fields and types are read, and values that make no sense are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from spark_job.errors import OptionError
from spark_job.source.json_events import json_schema
from spark_job.source.json_options import parse_json_events_options
from spark_job.source.options import AuditOptions

GOOD = {"bridges": "127.0.0.1:4142", "fields": "device string, time timestamp, value double"}


def test_fields_have_their_types_in_their_order() -> None:
    options = parse_json_events_options(GOOD | {"timeField": "time", "audit": "/tmp/a", "auditPane": "instant"})
    assert list(options.fields.items()) == [("device", "string"), ("time", "timestamp"), ("value", "double")]
    assert (options.time, options.audit) == ("time", AuditOptions(Path("/tmp/a"), 1))
    assert json_schema(options.fields).names == [
        "bridge",
        "offset",
        "received",
        "device",
        "time",
        "value",
        "raw",
        "error",
    ]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"fields": "device text"}, "'device text' is not a new name and one of string, long"),
        ({"fields": "a string, a long"}, "'a long' is not a new name"),
        ({"fields": "a-b string"}, "'a-b string'"),
        ({"timeField": "value"}, "option fields has no field of this name with type timestamp"),
        ({"audit": "/tmp/a"}, "set option auditPane too"),
        ({"field": "a string"}, "unknown option 'field'; did you mean 'fields'?"),
    ],
)
def test_options_that_make_no_sense_are_refused(changed: dict[str, str], said: str) -> None:
    with pytest.raises(OptionError) as error:
        parse_json_events_options(GOOD | changed)
    assert said in str(error.value)


def test_fields_are_needed() -> None:
    with pytest.raises(OptionError, match="option fields is missing"):
        parse_json_events_options({"bridges": GOOD["bridges"]})
