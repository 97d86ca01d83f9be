"""JSON objects become typed rows, each with its place; no Spark is started."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from pyspark.sql.datasource import CaseInsensitiveDict
from pyspark.sql.types import DoubleType, StringType, StructField, StructType, TimestampType

from spark_job.errors import OptionError
from spark_job.ranges import LogRange, Part
from spark_job.source.json_events import JsonEventsDataSource, JsonObjects, json_schema
from tests.support.block_rows import Block, block_batch

AT = datetime(2024, 5, 1, 12, 0, 30, tzinfo=UTC)
OPTIONS = {"bridges": "127.0.0.1:1", "consumer": "q", "fields": "device string, time timestamp, value double"}


def test_each_event_is_a_row_with_its_place() -> None:
    bodies = [b'{"device": "d", "time": "2024-05-01T12:00:30Z", "value": 1.5}', b"[]"]
    columns = [pa.array([7, 8]), pa.array([AT, AT], pa.timestamp("us", tz="UTC")), pa.array(bodies, pa.binary())]
    batch = pa.record_batch(columns, names=["offset", "received", "body"])
    fields = {"device": "string", "time": "timestamp", "value": "double"}
    conversion = pickle.loads(pickle.dumps(JsonObjects(fields)))  # noqa: S301 -- as Spark ships it
    found = pa.Table.from_batches(conversion.convert(Part(7, 9, LogRange("log-a", 0, 9)), [batch])).to_pylist()
    assert [(row["bridge"], row["offset"], row["received"]) for row in found] == [("log-a", 7, AT), ("log-a", 8, AT)]
    assert (found[0]["device"], found[0]["time"], found[0]["value"], found[0]["error"]) == ("d", AT, 1.5, None)
    assert (found[1]["device"], found[1]["raw"], found[1]["error"]) == (None, "[]", "not a JSON object")


def test_the_columns_are_the_places_then_the_fields_then_what_is_wrong() -> None:
    source = JsonEventsDataSource(CaseInsensitiveDict(OPTIONS))
    assert source.schema() == json_schema({"device": "string", "time": "timestamp", "value": "double"})
    assert source.schema().fields[3:6] == [
        StructField("device", StringType()),
        StructField("time", TimestampType()),
        StructField("value", DoubleType()),
    ]


def test_a_schema_of_the_user_is_refused() -> None:
    source = JsonEventsDataSource(CaseInsensitiveDict(OPTIONS))
    with pytest.raises(OptionError, match=r"the schema of this source is fixed: .*device:string"):
        source.streamReader(StructType([StructField("device", StringType())]))


def test_each_line_of_a_block_is_a_row_and_a_cut_line_is_malformed() -> None:
    batch = block_batch([Block(b'{"n": 1}\r\n{"n": 2}\n\n'), Block(b'{"n": 3}', cut=7)], 5)
    part = Part(5, 9, LogRange("log-a", 5, 9))
    found = pa.Table.from_batches(JsonObjects({"n": "long"}).convert(part, [batch])).to_pylist()
    assert [(row["offset"], row["n"], row["error"]) for row in found] == [
        (5, 1, None), (6, 2, None), (7, None, "empty line"), (8, None, "line too long"),
    ]  # fmt: skip
    assert found[3]["raw"] == '{"n": 3}'
