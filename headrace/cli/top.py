"""``headrace top``: the most requested URLs of a stretch of time, from the results table or its copy in a database."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from headrace.common.text import iso_utc
from headrace.errors import NotRunning
from spark_job.sinks.database import Database, parse_database_url
from spark_job.sinks.database.top_urls import Ranked, Ranking, rank_urls
from spark_job.sinks.terminal import instant_text
from spark_job.sinks.url_table import STYLES, header, row, title, width_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime, timedelta
    from pathlib import Path


def find_ranking(
    counts: Path,
    url: str | None,
    password_file: Path | None,
    *,
    limit: int,
    last: timedelta | None,
    at: datetime | None,
) -> Ranking:
    """Return the ranking.

    Args:
        counts: the results table, read if no ``url`` is given.
        url: a database that has a copy of it.
        password_file: file whose first line is that database's password.
        limit: number of URLs.
        last: length of the stretch; None for one window.
        at: an instant in its last window; None for the newest.

    Raises:
        SparkJobError: the URL cannot be used, or that time has no counts.
        NotRunning: the state folder has no results table.
        SinkError: the database cannot be read.
    """
    if url is None and not counts.is_file():
        raise NotRunning(f"{counts.parent.parent} has no counts; `headrace run` makes them")
    target = parse_database_url(url if url is not None else f"sqlite:///{counts.absolute()}", password_file)
    with Database(target) as database:
        return rank_urls(database, limit, embedded=url is None, last=last, at=at)


def show_ranking(ranking: Ranking, *, as_json: bool) -> None:
    """Print a ranking, as a table or as one JSON object."""
    if as_json:
        print_json(ranking)
        return
    console = Console(highlight=False)
    width = width_of(console if console.is_terminal else None, with_change=True)
    for kind, line in lines_of(ranking, width):
        console.print(Text(line, style=STYLES[kind]), soft_wrap=True)


def lines_of(ranking: Ranking, width: int) -> Iterator[tuple[str, str]]:
    """Yield the lines of the table as (kind of line, text); no text is wider than ``width`` cells."""
    yield "title", title(instant_text(ranking.start), instant_text(ranking.end), ranking.hits, ranking.urls)
    yield "header", header(with_change=True)
    for ranked in ranking.rows:
        yield "row", row(ranked.rank, ranked, ranking.hits, width, change_of(ranked, ranking))


def change_of(row: Ranked, ranking: Ranking) -> str:
    """Return how many ranks a URL has risen (+) or fallen (-) since the stretch before; empty if that has no counts."""
    if not ranking.hits_before:
        return ""
    if row.rank_before is None:
        return "new"
    return f"{row.rank_before - row.rank:+d}" if row.rank_before != row.rank else "="


def print_json(ranking: Ranking) -> None:
    """Print the ranking as one JSON object, in ASCII."""
    fields: dict[str, Any] = {
        "start": iso_utc(ranking.start),
        "end": iso_utc(ranking.end),
        "hits": ranking.hits,
        "urls": ranking.urls,
        "hits_before": ranking.hits_before,
        "top": [
            {
                "rank": row.rank,
                "url": row.url,
                "hits": row.hits,
                "share": row.hits / ranking.hits,
                "error_rate": row.errors / row.hits,
                "errors": row.errors,
                "bytes": row.bytes,
                "rank_before": row.rank_before,
                "rank_change": None if row.rank_before is None else row.rank_before - row.rank,
            }
            for row in ranking.rows
        ],
    }
    sys.stdout.write(json.dumps(fields, indent=2) + "\n")
