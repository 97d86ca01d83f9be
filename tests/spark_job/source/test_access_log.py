"""Lines become rows or sums, and the audit lies beside them; no Spark is started."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from pyspark.sql.datasource import CaseInsensitiveDict
from pyspark.sql.pandas.types import to_arrow_schema

from avro_bridge.contract import schema
from spark_job.accounting.audit_file import AuditRecord, read_audit
from spark_job.accounting.open_panes import read_open_from, write_open_from
from spark_job.errors import AuditError, OptionError
from spark_job.ranges import LogRange, Part
from spark_job.source.access_log import ROLL_UP_SCHEMA, AccessLogDataSource, Lines, RollUp, line_schema
from spark_job.source.options import parse_access_log_options
from tests.support.bridges import RealBridge

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyspark.sql import SparkSession


@pytest.fixture(params=["parsed", "by kernels"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Count the few lines of these tests both ways: parsed, as few lines are, and as a worker that has seen many."""
    if request.param == "by kernels":
        monkeypatch.setattr("spark_job.parse.line_counter.KERNELS_AFTER_LINES", 0)


MINUTE_US = 60_000_000
RECEIVED = datetime(2024, 5, 1, 12, 0, 30, tzinfo=UTC)
BROKEN = b'1.2.3.4 - - [17/May/2015:10:05:03 +0000] "GET /cut HTTP/1.1" 200 1 "-" "Mozi'


def line(minute: int, second: int, url: str = "/a", status: int = 200, size: str = "10") -> bytes:
    time = f"17/May/2015:10:{minute:02}:{second:02} +0000"
    return f'1.2.3.4 - - [{time}] "GET {url} HTTP/1.1" {status} {size} "-" "agent"'.encode()


LINES = [
    line(0, 5, "/a"),
    line(0, 59, "/a", size="-"),
    line(0, 30, "/b", 404),
    BROKEN,
    line(1, 0, "/a", 500),
    line(0, 58, "/b", 399),
    line(7, 0, "/a?q=1"),
]


def batches(lines: list[bytes], first: int = 0, pieces: int = 2) -> Iterator[pa.RecordBatch]:
    """Yield the lines as a bridge does, in ``pieces`` record batches."""
    step = -(-len(lines) // pieces)
    for low in range(0, len(lines), step):
        part = lines[low : low + step]
        offsets = pa.array(range(first + low, first + low + len(part)), pa.int64())
        received = pa.array([RECEIVED] * len(part), pa.timestamp("us", tz="UTC"))
        yield pa.record_batch([offsets, received, pa.array(part, pa.binary())], schema=schema(headers=False))


def options_of(**options: str) -> Any:
    return parse_access_log_options({"bridges": "127.0.0.1:1"} | options)


def part_of(start: int, end: int, whole: tuple[int, int] | None = None) -> Part:
    return Part(start, end, LogRange("log", *(whole or (start, end))))


def roll_up(lines: list[bytes] = LINES, pieces: int = 2, **options: str) -> list[dict[str, Any]]:
    parsed = options_of(**({"rollup": "1 minute"} | options))
    conversion = pickle.loads(pickle.dumps(RollUp(parsed, parsed.rollup_us)))  # noqa: S301 -- as Spark ships it
    converted = list(conversion.convert(part_of(0, len(lines)), batches(lines, pieces=pieces)))
    assert all(batch.schema == to_arrow_schema(ROLL_UP_SCHEMA, timezone="UTC") for batch in converted)
    return sorted((row for batch in converted for row in batch.to_pylist()), key=lambda row: (row["time"], row["url"]))


def at(minute: int, second: int) -> datetime:
    return datetime(2015, 5, 17, 10, minute, second, tzinfo=UTC)


def instant_us(instant: datetime) -> int:
    return int(instant.timestamp()) * 1_000_000


EXPECTED = [
    {"time": at(0, 58), "url": "/b", "hits": 2, "bytes": 20, "errors": 1},
    {"time": at(0, 59), "url": "/a", "hits": 2, "bytes": 10, "errors": 0},
    {"time": at(1, 0), "url": "/a", "hits": 1, "bytes": 10, "errors": 1},
    {"time": at(7, 0), "url": "/a", "hits": 1, "bytes": 10, "errors": 0},
]


@pytest.mark.parametrize("pieces", [1, 2, 7])
def test_sums_per_pane_and_url_carry_the_largest_time(pieces: int) -> None:
    assert roll_up(pieces=pieces) == EXPECTED


def test_sums_of_several_tables_are_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spark_job.source.range_reader.MAX_TABLE_EVENTS", 1)
    assert roll_up(pieces=7) == EXPECTED


def test_too_many_sums_are_yielded_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spark_job.source.range_reader.MAX_TABLE_EVENTS", 1)
    monkeypatch.setattr("spark_job.parse.line_counter.PARSED_AT_ONCE", 1)
    monkeypatch.setattr("spark_job.parse.line_counter.MAX_SUMS", 1)
    rows = roll_up(pieces=7)
    assert len(rows) > len(EXPECTED)
    hits: Counter[tuple[int, str]] = Counter()
    for row in rows:
        hits[row["time"].minute, row["url"]] += row["hits"]
    assert hits == {(0, "/a"): 2, (0, "/b"): 2, (1, "/a"): 1, (7, "/a"): 1}


def test_arrival_time_replaces_the_time_in_the_line() -> None:
    assert [(row["time"], row["url"], row["hits"]) for row in roll_up(time="arrival")] == [
        (RECEIVED, "/a", 4),
        (RECEIVED, "/b", 2),
    ]


def test_rows_have_the_declared_schema_and_keep_malformed_lines() -> None:
    conversion = Lines(options_of(url="full"))
    converted = list(conversion.convert(part_of(5, 12), batches(LINES, first=5)))
    assert all(batch.schema == to_arrow_schema(line_schema(), timezone="UTC") for batch in converted)
    rows = [row for batch in converted for row in batch.to_pylist()]
    assert [row["offset"] for row in rows] == list(range(5, 12))
    assert {row["bridge"] for row in rows} == {"log"}
    assert {row["received"] for row in rows} == {RECEIVED}
    assert (rows[6]["time"], rows[6]["url"], rows[6]["path"], rows[6]["bytes"]) == (at(7, 0), "/a?q=1", "/a", 10)
    assert rows[6]["raw"] is rows[6]["error"] is None
    assert rows[3]["raw"] == BROKEN.decode()
    assert rows[3]["error"] == "a quote is not closed"
    assert rows[3]["time"] is rows[3]["url"] is None


def test_arrival_time_of_rows_leaves_malformed_lines_without_one() -> None:
    rows = [
        row
        for batch in Lines(options_of(time="arrival")).convert(part_of(0, 7), batches(LINES))
        for row in batch.to_pylist()
    ]
    assert [row["time"] for row in rows] == [None if row["error"] else RECEIVED for row in rows]


# ---- the audit


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_audit_adds_up_and_is_the_same_when_the_task_runs_again(tmp_path: Path) -> None:
    roll_up(audit=str(tmp_path))
    written = files(tmp_path)
    assert set(written) == {"log/0-7/0-7.json", "log/0-7/0-7.malformed.jsonl"}
    record = json.loads(written["log/0-7/0-7.json"])
    first_us = instant_us(at(0, 0))
    assert record == {
        "log_id": "log",
        "start": 0,
        "end": 7,
        "events": 7,
        "malformed": 1,
        "too_old": 0,
        "panes": {str(first_us): 4, str(first_us + MINUTE_US): 1, str(first_us + 7 * MINUTE_US): 1},
        "pane_us": MINUTE_US,
    }
    assert [json.loads(text) for text in written["log/0-7/0-7.malformed.jsonl"].splitlines()] == [
        {
            "log_id": "log",
            "offset": 3,
            "received": "2024-05-01T12:00:30.000000Z",
            "error": "a quote is not closed",
            "raw": BROKEN.decode(),
        }
    ]
    roll_up(pieces=7, audit=str(tmp_path))
    assert files(tmp_path) == written


LETTER = {"log_id": "log", "received": "2024-05-01T12:00:30.000000Z"}
TOO_OLD = "too old: all windows of lines before 2015-05-17T10:01:00Z are closed"


def test_lines_before_the_oldest_open_pane_are_in_no_sum_and_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if the lines come in several tables, each with its own dead letters."""
    write_open_from(tmp_path, instant_us(at(1, 0)))
    for max_events in (100, 1):
        monkeypatch.setattr("spark_job.source.range_reader.MAX_TABLE_EVENTS", max_events)
        assert roll_up(pieces=7, audit=str(tmp_path)) == EXPECTED[2:]
        written = files(tmp_path / "log" / "0-7")
        record = json.loads(written["0-7.json"])
        assert (record["events"], record["malformed"], record["too_old"]) == (7, 1, 4)
        assert record["panes"] == {str(instant_us(at(1, 0))): 1, str(instant_us(at(7, 0))): 1}
        assert [json.loads(text) for text in written["0-7.malformed.jsonl"].splitlines()] == [
            LETTER | {"offset": 0, "error": TOO_OLD, "raw": LINES[0].decode()},
            LETTER | {"offset": 1, "error": TOO_OLD, "raw": LINES[1].decode()},
            LETTER | {"offset": 2, "error": TOO_OLD, "raw": LINES[2].decode()},
            LETTER | {"offset": 3, "error": "a quote is not closed", "raw": BROKEN.decode()},
            LETTER | {"offset": 5, "error": TOO_OLD, "raw": LINES[5].decode()},
        ]


def test_by_arrival_lines_are_as_old_as_their_arrival(tmp_path: Path) -> None:
    for later_us, hits in ((0, [4, 2]), (1, [])):
        write_open_from(tmp_path, instant_us(RECEIVED) + later_us)
        assert [row["hits"] for row in roll_up(time="arrival", audit=str(tmp_path))] == hits
        assert AuditRecord.read(tmp_path / "log/0-7/0-7.json").too_old == 6 - sum(hits)


def test_an_instant_that_changes_while_a_task_runs_is_not_for_this_task(tmp_path: Path) -> None:
    write_open_from(tmp_path, instant_us(at(1, 0)))

    def changing() -> Iterator[pa.RecordBatch]:
        write_open_from(tmp_path, instant_us(at(8, 0)))
        yield from batches(LINES)

    parsed = options_of(rollup="1 minute", audit=str(tmp_path))
    list(RollUp(parsed, parsed.rollup_us).convert(part_of(0, 7), changing()))
    assert AuditRecord.read(tmp_path / "log/0-7/0-7.json").too_old == 4


@pytest.mark.spark
@pytest.mark.parametrize("way", ["parsed"], indirect=True)
def test_spark_reads_the_open_panes_only(spark: SparkSession, tmp_path: Path) -> None:
    audit = tmp_path / "audit"
    write_open_from(audit, instant_us(at(1, 0)))
    with RealBridge(tmp_path / "log") as bridge:
        bridge.extend(LINES)
        lines = spark.read.format("access_log").options(bridges=bridge.address, rollup="1 minute", audit=str(audit))
        found = sorted(tuple(row) for row in lines.load().selectExpr("unix_micros(time)", "url", "hits").collect())
        whole = LogRange(bridge.log_id, 0, len(LINES))
    assert found == [(instant_us(at(1, 0)), "/a", 1), (instant_us(at(7, 0)), "/a", 1)]
    records = list(read_audit(audit, whole, MINUTE_US))
    assert (sum(each.events for each in records), sum(each.malformed for each in records)) == (7, 1)
    assert sum(each.too_old for each in records) == 4
    texts = [text for path in sorted(audit.rglob("*.malformed.jsonl")) for text in path.read_text().splitlines()]
    letters = {letter["offset"]: letter["error"] for letter in map(json.loads, texts)}
    assert letters == {0: TOO_OLD, 1: TOO_OLD, 2: TOO_OLD, 3: "a quote is not closed", 5: TOO_OLD}
    assert read_open_from(audit) == instant_us(at(1, 0))


def test_the_audit_of_nothing_says_so(tmp_path: Path) -> None:
    parsed = options_of(rollup="1h", audit=str(tmp_path))
    assert list(RollUp(parsed, parsed.rollup_us).convert(part_of(0, 5), iter(()))) == []
    record = json.loads((tmp_path / "log/0-5/0-5.json").read_bytes())
    assert (record["events"], record["malformed"], record["panes"]) == (0, 0, {})


def test_the_audit_is_there_before_the_last_rows(tmp_path: Path) -> None:
    parsed = options_of(rollup="1h", audit=str(tmp_path))
    rows = RollUp(parsed, parsed.rollup_us).convert(part_of(0, 7), batches(LINES))
    next(rows)
    assert (tmp_path / "log/0-7/0-7.json").exists()


def test_a_task_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[pa.RecordBatch]:
        yield from batches(LINES)
        raise ConnectionError

    parsed = options_of(rollup="1h", audit=str(tmp_path))
    with pytest.raises(ConnectionError):
        list(RollUp(parsed, parsed.rollup_us).convert(part_of(0, 9), broken()))
    assert files(tmp_path) == {}


def test_leftovers_of_another_plan_are_removed_and_other_batches_kept(tmp_path: Path) -> None:
    parsed = options_of(rollup="1h", audit=str(tmp_path))
    conversion = RollUp(parsed, parsed.rollup_us)
    for part in (part_of(0, 7, (0, 14)), part_of(7, 14, (0, 14)), part_of(0, 14), part_of(14, 21)):
        list(conversion.convert(part, batches(LINES, first=part.start)))
    (tmp_path / "log/0-14/.0-7.json.unfinished").write_text("{")
    conversion.prepare([part_of(0, 14)])
    assert set(files(tmp_path / "log")) == {
        "0-14/0-14.json",
        "0-14/0-14.malformed.jsonl",
        "14-21/14-21.json",
        "14-21/14-21.malformed.jsonl",
    }


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a file where a folder should be")
    with pytest.raises(AuditError, match=r"option audit: .*log/0-7"):
        roll_up(audit=str(tmp_path))


# ---- the source


def source(**options: str) -> AccessLogDataSource:
    return AccessLogDataSource(CaseInsensitiveDict({"bridges": "127.0.0.1:1"} | options))


def test_the_schema_depends_on_the_rollup() -> None:
    assert source().schema() == line_schema()
    assert source(rollup="1m").schema() == ROLL_UP_SCHEMA


@pytest.mark.parametrize("options", [{"logFormat": "combinde"}, {"url": "paht"}, {"timezone": "Mars/Olympus"}])
def test_what_the_parser_refuses_is_refused_at_once(options: dict[str, str]) -> None:
    with pytest.raises(OptionError):
        source(**options).schema()


def test_a_format_without_a_time_needs_arrival_time() -> None:
    with pytest.raises(OptionError, match="has no time in it; set option time=arrival"):
        source(logFormat='%h "%r" %>s').schema()
    assert source(logFormat='%h "%r" %>s', time="arrival").schema() == line_schema()


def test_a_schema_of_the_user_is_refused() -> None:
    with pytest.raises(OptionError, match="the schema of this source is fixed"):
        source(rollup="1m", consumer="q").streamReader(line_schema())
    with pytest.raises(OptionError, match="the schema of this source is fixed"):
        source().reader(ROLL_UP_SCHEMA)
