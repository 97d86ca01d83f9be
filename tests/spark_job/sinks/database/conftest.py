"""The databases that the sink's tests run against: a file, and the two servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from spark_job.sinks.database import Database, DatabaseUrl, parse_database_url
from tests.support.databases import mariadb, postgresql

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["mariadb", "postgresql"]

SERVERS = [
    pytest.param("postgresql", marks=pytest.mark.postgresql),
    pytest.param("mariadb", marks=pytest.mark.mariadb),
]


@pytest.fixture(params=["sqlite", *SERVERS])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> DatabaseUrl:
    """A database: a new file, or the server of this run, which other tests use as well."""
    if request.param == "sqlite":
        return parse_database_url(f"sqlite:///{tmp_path / 'results.db'}")
    found: DatabaseUrl = request.getfixturevalue(request.param).target
    return found


@pytest.fixture
def database(target: DatabaseUrl) -> Iterator[Database]:
    """The same, opened."""
    with Database(target) as opened:
        yield opened
