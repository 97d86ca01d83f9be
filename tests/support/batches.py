"""The batch function of a job with a state, over a real table and without a query."""

from __future__ import annotations

from datetime import UTC, datetime
from threading import Event
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from spark_job.accounting.dead_letters import DeadLetters
from spark_job.accounting.spark_checkpoint import Checkpoint
from spark_job.runner.batch_writer import BatchWriter
from spark_job.runner.release import ReleaseAfterCommit
from spark_job.runner.results.row_results import RowResults
from spark_job.runner.results.shape import ResultShape
from tests.support.counts import LOG

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

    from spark_job.accounting.ledger import LedgerEntry

NOW = datetime(2026, 1, 2, tzinfo=UTC)
LONGEST_WAIT_S = 30.0
SCHEMA = pa.schema([("url", pa.string()), ("hits", pa.int64())])


class Changed:
    """The result of a micro-batch. Its plan waits until the test lets it go on."""

    def __init__(self, *rows: tuple[str, int]) -> None:
        columns = list(zip(*rows, strict=True)) or [(), ()]
        self.rows = pa.table(dict(zip(SCHEMA.names, columns, strict=True)), SCHEMA)
        self.planning, self.may_go_on = Event(), Event()
        self.may_go_on.set()

    def toArrow(self) -> pa.Table:  # noqa: N802 -- Spark's name
        self.planning.set()
        assert self.may_go_on.wait(LONGEST_WAIT_S)
        return self.rows


class Entries:
    """A ledger with given entries; the real one needs Spark's checkpoint of a query that runs."""

    def __init__(self, *entries: LedgerEntry) -> None:
        self._entries = {each.batch_id: each for each in entries}

    def entry(self, batch_id: int) -> LedgerEntry:
        return self._entries[batch_id]


class LiveJob:
    """The batch function of a job over a real table, with a clock that moves a second at each look."""

    def __init__(self, folder: Path, *entries: LedgerEntry, max_letter_bytes: int = 1_000) -> None:
        self.folder = folder
        self.now_s = 0.0
        self.told: list[dict[str, int]] = []
        shape = ResultShape(("url",), "update")
        self.results = RowResults(folder, "by-url", SCHEMA, shape, [], top=2, counted="hits", clock=self._clock)
        letters = DeadLetters(folder / "audit", folder / "letters", max_letter_bytes)
        release = ReleaseAfterCommit(Checkpoint(folder / "checkpoint"), self.results.table, letters, self.told.append)
        self.writer = BatchWriter(lambda rows: rows, cast("Any", Entries(*entries)), self.results, release, lambda: NOW)

    def _clock(self) -> float:
        self.now_s += 1.0
        return self.now_s

    def run(self, batch_id: int, *rows: tuple[str, int]) -> None:
        self.writer(cast("Any", Changed(*rows)), batch_id)

    def commit(self, batch_id: int, end: int) -> None:
        """Do what Spark does before and after a micro-batch that ends at an offset."""
        for name, text in (("offsets", f'v1\n{{"batchWatermarkMs": 0}}\n{{"{LOG}": {end}}}'), ("commits", "v1\n{}")):
            (self.folder / "checkpoint" / name).mkdir(parents=True, exist_ok=True)
            (self.folder / "checkpoint" / name / str(batch_id)).write_text(text)

    def leave_letter(self, start: int, end: int) -> None:
        """Write what a reader leaves of a batch with one malformed line."""
        folder = self.folder / "audit" / LOG / f"{start}-{end}"
        folder.mkdir(parents=True)
        (folder / f"{start}-{end}.json").write_text("{}")
        (folder / f"{start}-{end}.malformed.jsonl").write_text('{"raw": "no line"}\n')

    def letters(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "letters").rglob("*.jsonl"))


def live(opened: ExitStack, folder: Path, *entries: LedgerEntry, **more: Any) -> LiveJob:
    """Return a job whose results close with the stack."""
    job = LiveJob(folder, *entries, **more)
    opened.enter_context(job.results)
    return job
