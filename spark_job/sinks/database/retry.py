"""Which errors of a database pass by themselves, and waiting for that.

============================  =======================================================================================
passes                        SQLSTATE (PostgreSQL), error number (MariaDB and MySQL)
============================  =======================================================================================
the connection is lost, or    08*; none, when the connection broke or none came about
cannot be made                2002, 2003, 2006, 2013, 2055, 1158 to 1161, and 0 for a connection that is closed
the server goes, or comes up  57P*; 1053, 1927, 4031
it is full                    53300; 1040, 1203
another transaction is in     40001, 40P01, 55P03; 1205, 1213
the way                       SQLite: locked, busy
============================  =======================================================================================

Everything else stays as it is however often it is tried: a wrong password, a column that is too short, no right to
write. Tried again is always a whole transaction, so it does not matter how far the last try came; not even whether its
commit arrived, because the ledger knows.
"""

from __future__ import annotations

import re
import sqlite3
import sys
import time
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

T = TypeVar("T")

FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 5.0
_PASSING_STATES = ("08", "57P")
_PASSING_STATE = frozenset({"40001", "40P01", "53300", "55P03"})
_PASSING_NUMBERS = frozenset(
    {0, 1040, 1053, 1158, 1159, 1160, 1161, 1203, 1205, 1213, 1927, 2002, 2003, 2006, 2013, 2055, 4031}
)
# libpq has no SQLSTATE for what goes wrong while connecting, so a refusal is told from an outage by its text.
_REFUSED = re.compile(
    r"authentication failed|no pg_hba\.conf entry|does not exist|permission denied|no password supplied"
    r"|is not permitted|certificate|invalid (?:connection option|integer value|sslmode)|could not translate host name"
)


def passes_by_itself(error: Exception) -> bool:
    """Say whether the same transaction may succeed later."""
    if isinstance(error, PoolTimeout):
        return True
    if not isinstance(error, DBAPIError) or error.orig is None:
        return False
    cause = error.orig
    if isinstance(cause, sqlite3.Error):
        return isinstance(cause, sqlite3.OperationalError) and ("locked" in str(cause) or "busy" in str(cause))
    number = cause.args[0] if cause.args else None
    if isinstance(number, int):
        return number in _PASSING_NUMBERS
    state = getattr(cause, "sqlstate", None)
    if state is not None:
        return state in _PASSING_STATE or state.startswith(_PASSING_STATES)
    return isinstance(error, OperationalError | InterfaceError) and not _REFUSED.search(str(cause))


class Patience:
    """Tries work again for as long as its errors pass by themselves.

    Args:
        retry_for: from the first failure on; zero: once is all.
        clock: monotonic seconds.
        sleep: waits for seconds.
        say: told when an outage begins and when it is over.
    """

    def __init__(
        self,
        retry_for: timedelta,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self._retry_for_s = retry_for.total_seconds()
        self._clock = clock
        self._sleep = sleep
        self._say = say or _to_standard_error

    def outlast(self, work: Callable[[], T], name: str) -> T:
        """Return what ``work`` returns; whatever it raises last comes through.

        Args:
            work: done again after each error that passes by itself.
            name: the database, for what is said.
        """
        wait_s, failed_s = FIRST_WAIT_S, None
        while True:
            try:
                result = work()
            except Exception as error:
                now_s = self._clock()
                if not passes_by_itself(error):
                    raise
                if failed_s is None:
                    failed_s = now_s
                    self._say(f"{name}: {reason_of(error)}; trying again for {self._retry_for_s:.0f} s")
                left_s = failed_s + self._retry_for_s - now_s
                if left_s <= 0:
                    raise
                self._sleep(min(wait_s, left_s))
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)
            else:
                if failed_s is not None:
                    self._say(f"{name}: answers again after {self._clock() - failed_s:.0f} s")
                return result


def reason_of(error: Exception) -> str:
    """Return in one line what a database said; never the statement, whose values strangers have written."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    number_first = len(cause.args) > 1 and isinstance(cause.args[0], int)
    text = str(cause.args[1] if number_first else cause).strip()
    # PostgreSQL puts the values of a row on a line of their own (DETAIL).
    return text.partition("\n")[0] or type(cause).__name__


def _to_standard_error(text: str) -> None:
    sys.stderr.write(f"database: {text}\n")
    sys.stderr.flush()
