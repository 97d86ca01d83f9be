"""The readers, used as Spark uses them: pickled first, asked for limits, and given partitions without content."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.sql.datasource import CaseInsensitiveDict, InputPartition
from pyspark.sql.streaming.datasource import ReadAllAvailable, ReadLimit, ReadMaxBytes, ReadMaxRows

from spark_job.source.flume import EVENT_SCHEMA, FlumeDataSource
from tests.support.planning import ALL, World, filled

if TYPE_CHECKING:
    from pyspark.sql.datasource import DataSourceReader, DataSourceStreamReader


def source(**options: str) -> FlumeDataSource:
    return FlumeDataSource(CaseInsensitiveDict({"bridges": "127.0.0.1:1", "consumer": "q"} | options))


def shipped(reader: Any) -> Any:
    """Return the reader as an executor has it."""
    return pickle.loads(pickle.dumps(reader))  # noqa: S301 -- as Spark ships it


def offsets(reader: DataSourceReader | DataSourceStreamReader, partitions: Any) -> list[int]:
    rows = (batch for part in partitions for batch in shipped(reader).read(shipped(part)))
    return [offset for batch in rows for offset in batch["offset"].to_pylist()]


@pytest.mark.parametrize(
    ("options", "limit"),
    [
        ({}, ReadAllAvailable()),
        ({"maxEventsPerTrigger": "5"}, ReadMaxRows(5)),
        ({"maxBytesPerTrigger": "7"}, ReadMaxBytes(7)),
        ({"maxEventsPerTrigger": "5", "maxBytesPerTrigger": "7"}, ReadMaxRows(5)),
    ],
)
def test_the_default_limit_is_that_of_the_options(options: dict[str, str], limit: ReadLimit) -> None:
    assert source(**options).streamReader(EVENT_SCHEMA).getDefaultReadLimit() == limit


def test_a_stream_read_by_the_calls_of_spark(world: World) -> None:
    log = filled(10, "a")
    world.serve(log)
    reader: Any = source(bridges=world.addresses, includeHeaders="false").streamReader(EVENT_SCHEMA)
    to_ship = shipped(reader)
    assert reader.reportLatestOffset() is None
    reader.prepareForTriggerAvailableNow()
    start = reader.initialOffset()
    end = reader.latestOffset(start, ALL)
    assert (start, end, reader.reportLatestOffset()) == ({"a": 0}, {"a": 10}, {"a": 10})
    assert offsets(to_ship, reader.partitions(start, end)) == list(range(10))
    reader.commit(end)
    assert log.consumers["q"]["committed"] == 10
    reader.stop()


def test_stop_before_the_first_plan_connects_to_no_bridge() -> None:
    reader = source().streamReader(EVENT_SCHEMA)
    reader.stop()
    assert "_planner" not in vars(reader)


def test_a_batch_read_by_the_calls_of_spark(world: World) -> None:
    world.serve(filled(10, "a"))
    reader: Any = source(bridges=world.addresses).reader(EVENT_SCHEMA)
    assert offsets(reader, reader.partitions()) == list(range(10))
    assert list(reader.read(InputPartition(None))) == []


def test_a_partition_of_another_source_is_refused() -> None:
    reader: Any = source().streamReader(EVENT_SCHEMA)
    with pytest.raises(TypeError, match="InputPartition is not a partition of this source"):
        reader.read(InputPartition(None))
