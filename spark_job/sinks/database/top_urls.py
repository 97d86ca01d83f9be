"""Ranks the URLs of a time range, and compares with the range before: the query of ``headrace top``.

::

    --last 15m, windows of 5m      ... |--w--|--w--|--w--|--w--|--w--|--w--|
                                       '---- before -----'----- shown -----'
                                                                           end of the newest window, or of --at's

A range consists of whole windows without gaps; of overlapping windows it takes those that end where the next one
starts. "Newest" means counted last, whatever the time is now.

The same statements read a copy in a database and the results table itself, which stores times in microseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa

from headrace.common.durations import MICROSECOND, format_duration
from headrace.common.text import EPOCH
from spark_job.errors import OptionError, SinkError
from spark_job.sinks.counts_table.reader import Window
from spark_job.sinks.database.columns import Instant
from spark_job.sinks.database.counts_copy import TABLE as COPY

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect

    from spark_job.sinks.database.connection import Database

MOST_WINDOWS = 2_000


class Ranked(NamedTuple):
    """One URL in a time range, with its rank in the range before."""

    rank: int
    url: str
    hits: int
    bytes: int
    errors: int
    rank_before: int | None


@dataclass(frozen=True)
class Ranking:
    """The ranking of a time range.

    Attributes:
        start: the first instant of the range.
        end: the instant after its last.
        urls: number of URLs.
        hits: hits of all URLs.
        hits_before: hits of all URLs in the range before; 0 if nothing was counted there.
        rows: the top URLs, most hits first, ties ordered by URL.
    """

    start: datetime
    end: datetime
    urls: int
    hits: int
    hits_before: int
    rows: list[Ranked]


class MicrosecondsInstant(sa.TypeDecorator[datetime]):
    """An instant, stored as microseconds since the epoch."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002 -- SQLAlchemy's
        """Return the number."""
        return None if value is None else (value - EPOCH) // MICROSECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 -- as above
        """Return the instant."""
        return None if value is None else EPOCH + value * MICROSECOND


def counts_table(*, embedded: bool) -> sa.TableClause:
    """Return the results table: the job's embedded one, or its copy in a database."""
    kind: sa.types.TypeEngine[Any] = MicrosecondsInstant() if embedded else Instant()
    times = [sa.column(name, kind) for name in ("window_start", "window_end")]
    numbers = [sa.column(name, sa.BigInteger()) for name in ("hits", "bytes", "errors")]
    return sa.table("counts" if embedded else COPY, *times, sa.column("url", sa.String()), *numbers)


def rank_urls(
    database: Database,
    limit: int,
    *,
    embedded: bool,
    last: timedelta | None = None,
    at: datetime | None = None,
    now: datetime | None = None,
) -> Ranking:
    """Return the top URLs of the newest window, or of a longer time range.

    Args:
        database: the database with the counts.
        limit: how many URLs.
        embedded: whether it is the job's own table.
        last: length of the range, rounded up to whole windows; None: one window.
        at: an instant in the last window of the range; None: the newest window that has begun, or, if all are in the
            future, the newest. A line that is dated ahead must not hide the counts of all others.
        now: the present; None: by the clock.

    Raises:
        OptionError: nothing was counted at that time, or the range has too many windows.
        SinkError: the table does not exist, the database is away for too long, or refuses.
    """
    table = counts_table(embedded=embedded)
    with database.reading() as connection:
        if not sa.inspect(connection).has_table(table.name):
            raise SinkError(f"{database.url}: the table {table.name} does not exist yet; the first counts create it")
        newest = _last_window(connection, table, at, now or datetime.now(UTC))
        if newest is None:
            raise OptionError(_nothing(connection, table, at))
        length = newest.end - newest.start
        number = 1 if last is None else -(-last // length)
        if number > MOST_WINDOWS:
            raise OptionError(
                f"{format_duration(last or length)} are {number:,} windows of {format_duration(length)}; "
                f"{MOST_WINDOWS:,} at most can be added up"
            )
        shown, before = (_ranks(table, newest, number, skipped) for skipped in (0, number))
        joined = sa.select(*shown.c, before.c.place.label("place_before")).outerjoin_from(
            shown, before, shown.c.url == before.c.url
        )
        rows = connection.execute(joined.where(shown.c.place <= limit).order_by(shown.c.place)).all()
        (urls, hits), (_, hits_before) = (_sums(connection, each) for each in (shown, before))
    ranked = [
        Ranked(row.place, row.url, int(row.hits), int(row.bytes), int(row.errors), row.place_before) for row in rows
    ]
    return Ranking(newest.end - number * length, newest.end, urls, hits, hits_before, ranked)


def _sums(connection: sa.Connection, ranks: sa.Subquery) -> tuple[int, int]:
    """Return the number of URLs and the number of their hits."""
    urls, hits = connection.execute(sa.select(sa.func.count(), sa.func.sum(ranks.c.hits))).one()
    return int(urls), int(hits or 0)


def _last_window(connection: sa.Connection, table: sa.TableClause, at: datetime | None, now: datetime) -> Window | None:
    newest_first = (table.c.window_start.desc(), table.c.window_end.desc())
    found = sa.select(table.c.window_start, table.c.window_end).order_by(*newest_first).limit(1)
    if at is not None:
        row = connection.execute(found.where(table.c.window_start <= at, table.c.window_end > at)).first()
    else:
        row = connection.execute(found.where(table.c.window_start <= now)).first() or connection.execute(found).first()
    return None if row is None else Window(*((instant - EPOCH) // MICROSECOND for instant in row))


def _nothing(connection: sa.Connection, table: sa.TableClause, at: datetime | None) -> str:
    ends = sa.select(sa.func.min(table.c.window_start), sa.func.max(table.c.window_end))
    found = [instant for instant in connection.execute(ends).one() if instant is not None]
    if not found or at is None:
        return "nothing is counted yet"
    first, last, asked = (f"{instant:%Y-%m-%d %H:%M:%S}" for instant in (*found, at.astimezone(UTC)))
    return f"no window holds {asked} UTC; the counts reach from {first} to {last} UTC"


def _ranks(table: sa.TableClause, newest: Window, number: int, skipped: int) -> sa.Subquery:
    """Return the query of url, hits, bytes, errors, place over ``number`` windows before the last ``skipped``."""
    length = newest.end - newest.start
    windows = [(newest.start - back * length, newest.end - back * length) for back in range(skipped, skipped + number)]
    oldest = windows[-1][0]
    summed = (
        sa.select(table.c.url, *(sa.func.sum(table.c[name]).label(name) for name in ("hits", "bytes", "errors")))
        # The first condition uses the index; the second excludes windows that overlap or have another length.
        .where(table.c.window_start.between(oldest, windows[0][0]))
        .where(sa.tuple_(table.c.window_start, table.c.window_end).in_(windows))
        .group_by(table.c.url)
        .subquery()
    )
    place = sa.func.row_number().over(order_by=(summed.c.hits.desc(), summed.c.url)).label("place")
    return sa.select(*summed.c, place).subquery()
