"""Every source checks its options before Spark gets a schema, and refuses what does not go with a batch or a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pyspark.sql.datasource import CaseInsensitiveDict
from pyspark.sql.types import LongType, StructField, StructType

from spark_job.errors import OptionError
from spark_job.source.access_log import AccessLogDataSource
from spark_job.source.flume import FlumeDataSource
from spark_job.source.json_events import JsonEventsDataSource
from spark_job.source.readers import EventBatchReader, EventStreamReader

if TYPE_CHECKING:
    from spark_job.source.data_source import BridgeDataSource

SOURCES: list[tuple[type[BridgeDataSource], dict[str, str]]] = [
    (FlumeDataSource, {}),
    (AccessLogDataSource, {}),
    (JsonEventsDataSource, {"fields": "device string"}),
]


def source_of(kind: type[BridgeDataSource], options: dict[str, str]) -> BridgeDataSource:
    return kind(CaseInsensitiveDict({"bridges": "127.0.0.1:1", "consumer": "q"} | options))


@pytest.mark.parametrize(("kind", "options"), SOURCES)
def test_a_source_has_readers_for_its_own_schema_only(kind: type[BridgeDataSource], options: dict[str, str]) -> None:
    source = source_of(kind, options)
    assert isinstance(source.reader(source.schema()), EventBatchReader)
    assert isinstance(source.streamReader(source.schema()), EventStreamReader)
    other = StructType([StructField("offset", LongType())])
    for read in (source.reader, source.streamReader):
        with pytest.raises(OptionError, match="the schema of this source is fixed: struct<bridge:string,"):
            read(other)


@pytest.mark.parametrize(("kind", "options"), SOURCES)
def test_the_schema_is_not_given_out_for_options_that_cannot_be_used(
    kind: type[BridgeDataSource], options: dict[str, str]
) -> None:
    for wrong in ({"nothing": "1"}, {"minPartitions": "0"}, {"audit": "folder"}):
        with pytest.raises(OptionError, match=next(iter(wrong))):
            source_of(kind, options | wrong).schema()


@pytest.mark.parametrize(("kind", "options"), SOURCES)
def test_options_for_a_stream_and_for_a_batch_are_told_apart(
    kind: type[BridgeDataSource], options: dict[str, str]
) -> None:
    empty = source_of(kind, options | {"startingOffsets": "latest"})
    with pytest.raises(OptionError, match="a batch read from there is always empty"):
        empty.reader(empty.schema())
    bounded = source_of(kind, options | {"endingOffsets": "latest"})
    bounded.reader(bounded.schema())
    nameless = source_of(kind, options | {"consumer": ""})
    with pytest.raises(OptionError, match="consumer"):
        nameless.streamReader(nameless.schema())
