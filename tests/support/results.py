"""Small results, and SQL of a test's own beside the sink."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spark_job.sinks.database import DatabaseUrl

INSTANT = pa.timestamp("us", tz="UTC")
WINDOW = pa.struct([("start", INSTANT), ("end", INSTANT)])
NINE = datetime(2026, 7, 1, 9, tzinfo=UTC)


def counts(actions: Sequence[str | None], numbers: Sequence[int], hour: datetime = NINE) -> pa.Table:
    """Return a result like that of ``groupBy("action", window(...)).count()``."""
    window = {"start": hour, "end": hour + timedelta(hours=1)}
    columns = [pa.array(actions, pa.string()), pa.array([window] * len(actions), WINDOW), pa.array(numbers, pa.int64())]
    return pa.table(columns, names=["action", "window", "count"])


def ledger_of(target: DatabaseUrl, query_id: str) -> list[Any]:
    """Return (batch id, number of rows) of the newest batch that the ledger knows of a query."""
    return execute(target, f"SELECT batch_id, row_count FROM headrace_batches WHERE query_id = '{query_id}'")  # noqa: S608 - made up by tests


def new_name() -> str:
    """Return the name of a table that no other test has."""
    return f"t_{uuid.uuid4().hex}"


def execute(target: DatabaseUrl, *statements: str) -> list[Any]:
    """Run SQL; return the rows of the last statement that has some."""
    engine = sa.create_engine(target.with_password())
    rows: list[Any] = []
    try:
        with engine.begin() as connection:
            for statement in statements:
                result = connection.exec_driver_sql(statement)
                rows = list(result) if result.returns_rows else rows
    finally:
        engine.dispose()
    return rows
