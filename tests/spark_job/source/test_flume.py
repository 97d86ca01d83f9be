"""The source ``flume`` in real queries over a real log: ranges, limits, crashes, and logs that move or vanish."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.errors import AnalysisException, StreamingQueryException

from spark_job.source.bridge_client import BridgeClient, RetryPolicy
from spark_job.source.options import Address, Security
from tests.support.bridges import RealBridge
from tests.support.flight_double import FlightDouble, MemoryLog

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming.listener import StreamingQueryProgress
    from pyspark.sql.streaming.query import StreamingQuery

pytestmark = pytest.mark.spark

QUERY_TIMEOUT_S = 120


def bodies(start: int, end: int) -> list[bytes]:
    return [b"event %d" % number for number in range(start, end)]


class CrashingSink:
    """Keeps the events of each batch by its id, as an idempotent sink does; fails after a batch on request.

    A batch that comes again must bring the same events.
    """

    def __init__(self) -> None:
        self.batches: dict[int, list[bytes]] = {}
        self.fail_in_batch: int | None = None

    def write(self, rows: DataFrame, batch_id: int) -> None:
        got = sorted(bytes(row.body) for row in rows.select("body").collect())
        assert self.batches.setdefault(batch_id, got) == got
        if batch_id == self.fail_in_batch:
            raise RuntimeError("crash on purpose")

    @property
    def events(self) -> Counter[bytes]:
        return Counter(body for batch in self.batches.values() for body in batch)


class Query:
    """A query over the source ``flume`` that is started again and again on one checkpoint."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self._spark = spark
        self.checkpoint = folder / "checkpoint"
        self.sink = CrashingSink()

    def run(self, bridges: str, **options: str) -> StreamingQuery:
        """Read all that is there now, and end."""
        rows = self._spark.readStream.format("flume").options(bridges=bridges, consumer="query", **options).load()
        query = (
            rows.writeStream.foreachBatch(self.sink.write)
            .option("checkpointLocation", str(self.checkpoint))
            .trigger(availableNow=True)
            .start()
        )
        try:
            assert query.awaitTermination(QUERY_TIMEOUT_S), "the query did not end"
        finally:
            query.stop()
        return query

    def forget_newest_commit(self) -> None:
        """Make Spark believe that it died before it could note the end of the last batch."""
        newest = max((path for path in (self.checkpoint / "commits").iterdir() if path.name.isdigit()), key=_number)
        newest.unlink()
        newest.with_name(f".{newest.name}.crc").unlink(missing_ok=True)


def _number(path: Path) -> int:
    return int(path.name)


def test_a_batch_read_gives_each_event_of_the_range_as_a_row(spark: SparkSession, tmp_path: Path) -> None:
    with RealBridge(tmp_path) as bridge:
        bridge.extend(bodies(0, 3000))
        read = spark.read.format("flume").options(bridges=bridge.address, minPartitions="3")
        rows = read.option("endingOffsets", f'{{"{bridge.log_id}": 2000}}').load()
        collected = sorted(rows.collect(), key=lambda row: row.offset)
        assert rows.rdd.getNumPartitions() == 3
        without_headers = read.option("includeHeaders", "false").load().filter("offset = 7").collect()
    assert [bytes(row.body) for row in collected] == bodies(0, 2000)
    assert [row.offset for row in collected] == list(range(2000))
    assert {row.bridge for row in collected} == {bridge.log_id}
    assert collected[7].headers == {"n": "7"}
    assert collected[7].received.timestamp() == 1_700_000_000
    assert without_headers[0].headers == {}


def test_an_unknown_option_reaches_the_user_by_name(spark: SparkSession) -> None:
    for source in ("flume", "access_log"):
        with pytest.raises(AnalysisException, match="unknown option 'bridgs'; did you mean 'bridges'"):
            spark.read.format(source).option("bridgs", "a:1").load()


def test_a_stream_without_a_consumer_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    rows = spark.readStream.format("flume").option("bridges", "127.0.0.1:1").load()
    query = rows.writeStream.format("noop").option("checkpointLocation", str(tmp_path)).start()
    with pytest.raises(StreamingQueryException, match="option consumer is missing"):
        query.awaitTermination(QUERY_TIMEOUT_S)


def test_a_token_file_is_not_shown_in_the_plan(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    token = tmp_path / "token"
    token.write_text("very-secret")
    with RealBridge(tmp_path / "log", token="very-secret") as bridge:  # noqa: S106 -- of this test only
        bridge.extend(bodies(0, 3))
        rows = spark.read.format("flume").options(bridges=bridge.address, tokenFile=str(token)).load()
        assert rows.count() == 3
        rows.explain(extended=True)
    assert "very-secret" not in capsys.readouterr().out


@pytest.mark.slow
def test_available_now_reads_all_in_batches_within_the_limit(spark: SparkSession, tmp_path: Path) -> None:
    query = Query(spark, tmp_path)
    with RealBridge(tmp_path / "a") as one, RealBridge(tmp_path / "b") as two:
        one.extend(bodies(0, 900))
        two.extend(bodies(900, 1000))
        done = query.run(f"{one.address},{two.address}", maxEventsPerTrigger="400")
        committed = one.log.consumers()["query"].committed
    assert query.sink.events == Counter(bodies(0, 1000))
    assert [len(batch) for batch in query.sink.batches.values()] == [400, 400, 200]
    assert all(any(int(body.split()[1]) >= 900 for body in batch) for batch in query.sink.batches.values())
    ends = [progress["sources"][0] for progress in map(_as_dict, done.recentProgress)]
    assert all(end["latestOffset"] == {one.log_id: 900, two.log_id: 100} for end in ends)
    assert committed > 0


def _as_dict(progress: StreamingQueryProgress) -> dict[str, Any]:
    return dict(json.loads(progress.json))


@pytest.mark.slow
def test_ten_restarts_without_the_newest_commit_count_nothing_twice(spark: SparkSession, tmp_path: Path) -> None:
    query = Query(spark, tmp_path)
    with RealBridge(tmp_path / "log") as bridge:
        for run in range(10):
            bridge.extend(bodies(run * 100, (run + 1) * 100))
            query.run(bridge.address, maxEventsPerTrigger="100")
            query.forget_newest_commit()
            bridge.retain()
    assert query.sink.events == Counter(bodies(0, 1000))


@pytest.mark.slow
def test_a_crash_inside_batch_0_that_started_at_latest(spark: SparkSession, tmp_path: Path) -> None:
    query = Query(spark, tmp_path)
    with RealBridge(tmp_path / "log") as bridge:
        bridge.extend(bodies(0, 50))
        host, port = bridge.address.split(":")
        with BridgeClient(Address(host, int(port)), Security(), RetryPolicy(5.0)) as client:
            client.start("query", bridge.log_id, "latest")
        query.sink.fail_in_batch = 0
        for first in (50, 60, 70):
            bridge.extend(bodies(first, first + 10))
            with pytest.raises(StreamingQueryException, match="crash on purpose"):
                query.run(bridge.address, startingOffsets="latest")
        query.sink.fail_in_batch = None
        query.run(bridge.address, startingOffsets="latest")
        query.forget_newest_commit()
        query.run(bridge.address, startingOffsets="latest")
    assert query.sink.batches[0] == sorted(bodies(50, 60))
    assert query.sink.events == Counter(bodies(50, 80))


@pytest.mark.slow
def test_a_bridge_moves_and_another_joins_between_runs(spark: SparkSession, tmp_path: Path) -> None:
    query = Query(spark, tmp_path)
    with RealBridge(tmp_path / "a") as bridge:
        bridge.extend(bodies(0, 100))
        query.run(bridge.address)
        first_address = bridge.address
    query.forget_newest_commit()
    with RealBridge(tmp_path / "b") as joining, RealBridge(tmp_path / "a") as moved:
        assert moved.address != first_address
        moved.extend(bodies(100, 200))
        joining.extend(bodies(200, 300))
        query.run(f"{moved.address},{joining.address}")
    assert query.sink.events == Counter(bodies(0, 300))


@pytest.mark.slow
def test_a_log_that_is_gone_with_planned_events(spark: SparkSession, tmp_path: Path) -> None:
    query = Query(spark, tmp_path)
    with RealBridge(tmp_path / "a") as bridge:
        bridge.extend(bodies(0, 100))
        query.run(bridge.address, maxEventsPerTrigger="60")
        gone = bridge.log_id
    query.forget_newest_commit()
    query.sink.batches.pop(1)
    with RealBridge(tmp_path / "b") as other:
        other.extend(bodies(100, 150))
        with pytest.raises(StreamingQueryException, match=f"log {gone}: events 60 to 99 are lost"):
            query.run(other.address)
        query.run(other.address, failOnDataLoss="false")
    assert query.sink.events == Counter(bodies(0, 60) + bodies(100, 150))


def test_parts_join_without_gap(spark: SparkSession, tmp_path: Path) -> None:
    with RealBridge(tmp_path) as bridge:
        for first in range(0, 1000, 100):
            bridge.extend(bodies(first, first + 100))
        rows = spark.read.format("flume").options(bridges=bridge.address, minPartitions="7").load()
        offsets = [row.offset for row in rows.select("offset").collect()]
    assert all(right == left + 1 for left, right in pairwise(offsets))
    assert len(offsets) == 1000


def test_blocks_are_read_as_lines_with_the_headers_of_their_block(spark: SparkSession) -> None:
    log = MemoryLog(bodies=[b"event"])
    log.add_block(b"a\r\n\n\xff\n")
    log.add_block(b"beginning", length=1 << 40)
    with FlightDouble(log) as bridge:
        rows = spark.read.format("flume").options(bridges=bridge.address).load().orderBy("offset").collect()
        without = spark.read.format("flume").options(bridges=bridge.address, includeHeaders="false").load().collect()
    assert [bytes(row.body) for row in rows] == [b"event", b"a\r", b"", b"\xff", b"beginning"]
    assert [row.offset for row in rows] == list(range(5))
    assert [row.headers["n"] for row in rows] == ["0", "1", "1", "1", "4"]
    assert len({row.received for row in rows[1:4]}) == 1
    assert sorted(row.offset for row in without) == list(range(5))
    assert {len(row.headers) for row in without} == {0}
