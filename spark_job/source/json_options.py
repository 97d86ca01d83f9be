"""Reads the options of the source ``json_events``, which are declared in :mod:`spark_job.source.option_table`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from spark_job.errors import OptionError
from spark_job.options.spark_map import OptionReader
from spark_job.source.option_table import AUDIT_OPTIONS, JSON_EVENTS_OPTIONS, SHARED_OPTIONS, default_of
from spark_job.source.options import AuditOptions, FlumeOptions, audit_of, flume_options_of

if TYPE_CHECKING:
    from collections.abc import Mapping

JSON_TYPES: Final = ("string", "long", "double", "boolean", "timestamp")


@dataclass(frozen=True)
class JsonEventsOptions:
    """The fields of an event, name to type, and the field that says when the event happened."""

    flume: FlumeOptions
    fields: dict[str, str]
    time: str
    audit: AuditOptions | None


def parse_json_events_options(options: Mapping[str, str]) -> JsonEventsOptions:
    """Read the options of ``format("json_events")``.

    Raises:
        OptionError: one is unknown, missing or cannot be used.
    """
    reader = OptionReader(options, SHARED_OPTIONS + JSON_EVENTS_OPTIONS + AUDIT_OPTIONS)
    fields = reader.optional("fields", _fields)
    if fields is None:
        raise OptionError("option fields is missing: names and types, such as 'device string, time timestamp'")
    time = reader.text("timeField")
    # The default is a column that every event has.
    if time != default_of("timeField") and fields.get(time) != "timestamp":
        raise OptionError(f"option timeField={time!r}: option fields has no field of this name with type timestamp")
    return JsonEventsOptions(flume_options_of(reader, include_headers=False), fields, time, audit_of(reader))


def _fields(text: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for part in text.split(","):
        name, _, kind = part.strip().partition(" ")
        if not name.isidentifier() or kind.strip() not in JSON_TYPES or name in fields:
            raise ValueError(
                f"{part.strip()!r} is not a new name and one of {', '.join(JSON_TYPES)}; write it like 'item string'"
            )
        fields[name] = kind.strip()
    return fields
