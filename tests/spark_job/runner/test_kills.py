"""Kills and power cuts at every point of a micro-batch of sums: the table is a recount each time.

First the store alone, hundreds of times: the real table and batch function, over a log in memory. Then the job as a
process, killed while lines come; between two runs any files that were not synced are damaged.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_job.accounting.dead_letters import DeadLetters
from spark_job.accounting.ledger import LedgerEntry
from spark_job.ranges import LogRange
from spark_job.runner.batch_writer import BatchWriter
from spark_job.runner.release import ReleaseAtOnce
from spark_job.runner.results.row_results import RowResults
from spark_job.runner.results.shape import ResultShape
from spark_job.sinks.counts_table.reader import CountsReader
from tests.support.bridges import RealBridge
from tests.support.counting import Recorder, line, url_count_results
from tests.support.counts import LOG, MINUTE_US, content, rows
from tests.support.job_process import JobProcess
from tests.support.power_cut import cut_power

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from spark_job.accounting.batch_records import BatchRecords
    from spark_job.runner.results.url_counts import UrlCountResults

Line = tuple[int, str]
"""Minute and URL."""

BY_URL = pa.schema([("minute", pa.int64()), ("url", pa.string()), ("hits", pa.int64())])
POINTS = ("nowhere", "before", "inside", "after", "told")
"""Where the process dies: before the transaction, inside it, after it, or after the bridges were told."""
KILLS = int(os.environ.get("HEADRACE_KILLS", "12"))


class Killed(BaseException):
    """What a kill looks like to the code that it hits: no handler of errors sees it."""


class MemoryBridge:
    """A log that deletes what is committed, and fails when deleted lines are asked for."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.committed = 0

    def read(self, start: int, end: int) -> list[Line]:
        assert start >= self.committed, "the bridge was told that these lines are stored"
        return self.lines[start:end]


class Process:
    """One life of the job: everything but the table and the bridge is gone at its end."""

    def __init__(self, folder: Path, bridge: MemoryBridge, number: int) -> None:
        self._bridge = bridge
        self._query = f"query-{number}"
        self._die_at = "nowhere"
        self._range = LogRange(LOG, 0, 0)
        self.results = self._open(folder)
        self.table: Any = self.results.table
        self.writer = BatchWriter(
            rows=self._sums,
            ledger=cast("Any", self),
            results=self.results,
            release=ReleaseAtOnce(self.table, DeadLetters(folder / "audit", folder / "letters"), self._commit),
            now=lambda: datetime(2026, 1, 1, tzinfo=UTC),
        )

    def _open(self, folder: Path) -> UrlCountResults | RowResults:
        results = url_count_results(folder, Recorder())
        self._die_inside(results.table.records)
        return results

    def _die_inside(self, records: BatchRecords) -> BatchRecords:
        add = records.add

        def add_or_die(**terms: int) -> None:
            self._point("inside")
            add(**terms)

        records.add = add_or_die  # type: ignore[method-assign]
        return records

    def content(self) -> dict[Line, int]:
        return content(self.table)

    def _rows(self, found: Counter[Line]) -> pa.Table:
        return rows(*((minute, url, hits) for (minute, url), hits in found.items()))

    def entry(self, batch_id: int) -> LedgerEntry:
        return LedgerEntry(self._query, batch_id, (self._range,), 0, 0, 0, 0, 0, 0)

    def _point(self, name: str) -> None:
        if self._die_at == name:
            raise Killed

    def _sums(self, lines: Any) -> Any:
        self._point("before")
        return lines

    def _commit(self, positions: dict[str, int]) -> None:
        self._point("after")
        self._bridge.committed = positions[LOG]
        self._point("told")

    def run(self, batch_id: int, size: int, die_at: str) -> None:
        """Run the micro-batch that begins where the table stands."""
        start = self.table.positions().get(LOG, 0)
        self._range = LogRange(LOG, start, min(start + size, len(self._bridge.lines)))
        found = Counter(self._bridge.read(start, self._range.end))
        self._die_at = die_at
        self.writer(cast("Any", Frame(self._rows(found))), batch_id)
        assert self.writer.tally.balanced


class SumsProcess(Process):
    """The same for a structured job whose rows are sums."""

    def _open(self, folder: Path) -> RowResults:
        shape = ResultShape(("minute", "url"), "update")
        results = RowResults(folder, "by-url", BY_URL, shape, [], top=1, sums=("hits",), counted="hits")
        records = results.table._records
        results.table._records = lambda connection: self._die_inside(records(connection))  # type: ignore[method-assign]
        return results

    def content(self) -> dict[Line, int]:
        return {(row["minute"], row["url"]): row["hits"] for row in self.table.rows()}

    def _rows(self, found: Counter[Line]) -> pa.Table:
        lines = [{"minute": minute, "url": url, "hits": hits} for (minute, url), hits in found.items()]
        return pa.Table.from_pylist(lines, schema=BY_URL)


class Frame:
    """The rows of a micro-batch, as Spark would hand them over."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def toArrow(self) -> pa.Table:  # noqa: N802 -- Spark's name
        return self._table


lines = st.tuples(st.integers(-5, 2_000_000), st.sampled_from(["/a", "/b", "/c"]))
steps = st.lists(st.tuples(st.lists(lines, max_size=6), st.integers(1, 7), st.sampled_from(POINTS)), min_size=1)


@pytest.mark.parametrize("kind", [Process, SumsProcess])
@settings(max_examples=150)
@given(given_steps=steps)
def test_any_split_into_batches_with_any_kills_is_a_recount(
    tmp_path_factory: pytest.TempPathFactory, kind: type[Process], given_steps: list[tuple[list[Line], int, str]]
) -> None:
    folder, bridge = tmp_path_factory.mktemp("kills"), MemoryBridge()
    lives = batch_id = 0
    process = kind(folder, bridge, lives)
    for new, size, die_at in [*given_steps, ([], 10_000, "nowhere")]:
        bridge.lines += new
        try:
            process.run(batch_id, size, die_at)
            batch_id += 1
        except Killed:
            process.results.__exit__(None, None, None)
            lives, batch_id = lives + 1, 0
            process = kind(folder, bridge, lives)
    with process.results:
        assert process.content() == Counter(bridge.lines)
        tally = process.table.tally()
        assert (tally.read, tally.balanced) == (len(bridge.lines), True)
        process.table.verify()


def damage(job: Path, dice: random.Random) -> None:
    """Do to files that nobody synced what a power cut may do: delete, empty or cut some of them."""
    not_synced = [job / "checkpoint", job / "audit", job / "progress.json", job.parent / "counts.jsonl"]
    for path in [found for root in not_synced for found in ([root] if root.is_file() else root.rglob("*"))]:
        how = dice.choice(["delete", "empty", "cut", "leave", "leave"])
        if not path.is_file() or how == "leave":
            continue
        if how == "delete":
            path.unlink()
        else:
            os.truncate(path, 0 if how == "empty" else path.stat().st_size // 2)
    if dice.random() < 0.3:
        shutil.rmtree(job / "checkpoint", ignore_errors=True)


def counted(path: Path) -> Counter[Line]:
    with CountsReader(path) as reader:
        return Counter({(window.start_us // MINUTE_US, count.url): count.hits for window, count in reader.rows()})


@pytest.mark.spark
@pytest.mark.slow
@pytest.mark.timeout(120 * max(KILLS, 12))
def test_the_job_counts_exactly_whatever_is_killed_and_whatever_the_disk_forgets(tmp_path: Path) -> None:
    """``HEADRACE_KILLS=100`` kills it so many times."""
    dice = random.Random(20261127)  # noqa: S311 -- moments, not secrets
    job, out, expected = tmp_path / "job", tmp_path / "counts.jsonl", Counter[Line]()
    options = ["--window", "1m", "--trigger", "0s", "--sink", f"jsonl:{out}", "--max-events", "500"]

    def feed(bridge: RealBridge, number: int) -> None:
        """Send lines of any age, one of them dated far in the future."""
        seconds = [dice.randrange(0, 40_000_000) for _ in range(number)] + [4_070_908_800]
        bridge.extend([line(second, f"/{second % 5}") for second in seconds])
        expected.update((second // 60, f"/{second % 5}") for second in seconds)

    with RealBridge(tmp_path / "log") as bridge:
        for life in range(KILLS):
            with JobProcess("url-counts", bridge.address, job, *options) as process:
                feed(bridge, 700)
                # Some lives end in their first micro-batch, some later.
                process.wait_for_read(sum(expected.values()) - dice.randrange(0, 1_200))
                victims: Sequence[Any] = process.victims()
                dice.choice(victims).kill()
                process.kill()
            damage(job, dice)
            feed(bridge, 100 + life)
        drain = tmp_path / "drain.json"
        drain.write_text(json.dumps({bridge.log_id: sum(expected.values())}))
        with JobProcess("url-counts", bridge.address, job, *options, "--drain-to-file", str(drain)) as process:
            assert process.end() == 0, process.errors()
            total = sum(expected.values())
            assert process.errors()[-1] == f"lines read {total:,} = counted {total:,} + malformed 0 + too old 0"
    assert counted(job / "counts.db") == expected
    found = [json.loads(text) for text in out.read_text().splitlines()]
    assert sum(row["hits"] for row in found) == sum(expected.values())


@pytest.mark.spark
@pytest.mark.slow
@pytest.mark.timeout(120 * max(KILLS, 12))
def test_a_state_in_spark_is_exact_whatever_is_killed_and_whatever_the_disk_forgets(tmp_path: Path) -> None:
    """Each visit has ten requests; a kill that lost or repeated a line would show in one of them."""
    dice = random.Random(20261128)  # noqa: S311 -- moments, not secrets
    job, out, sent = tmp_path / "job", tmp_path / "sessions.jsonl", 0
    options = ["--gap", "1m", "--watermark", "0s", "--trigger", "0s", "--max-events", "150", "--sink", f"jsonl:{out}"]

    def feed(bridge: RealBridge, visits: int) -> None:
        nonlocal sent
        bridge.extend([line(200 * ((sent + n) // 10) + n % 10) for n in range(10 * visits)])
        sent += 10 * visits

    with RealBridge(tmp_path / "log") as bridge:
        for _ in range(max(KILLS // 3, 1)):
            with JobProcess("sessions", bridge.address, job, *options) as process:
                feed(bridge, 60)
                process.wait_for_read(sent - dice.randrange(0, 600))
                victims: Sequence[Any] = process.victims()
                dice.choice(victims).kill()
                process.kill()
            cut_power(job, dice)
            feed(bridge, dice.randrange(1, 20))
        visits = sent // 10
        # Two later visits: Spark emits what the watermark has passed one micro-batch later.
        feed(bridge, 1)
        with JobProcess("sessions", bridge.address, job, *options) as process:
            process.wait_for_read(sent)
            feed(bridge, 1)
            process.wait_for_read(sent)
        drain = tmp_path / "drain.json"
        drain.write_text(json.dumps({bridge.log_id: sent}))
        with JobProcess("sessions", bridge.address, job, *options, "--drain-to-file", str(drain)) as process:
            assert process.end() == 0, process.errors()
            (said,) = process.errors()
    requests = [json.loads(text)["requests"] for text in out.read_text().splitlines()]
    assert requests[:visits] == [10] * visits
    assert said.startswith(f"lines read {sent:,} = counted {10 * len(requests):,} + malformed 0 + late 0"), said
