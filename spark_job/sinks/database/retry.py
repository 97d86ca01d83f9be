"""Classifies the transient errors of databases, and retries transactions that failed with one.

============================  =======================================================================================
transient                     SQLSTATE (PostgreSQL), error number (MariaDB and MySQL)
============================  =======================================================================================
the connection is lost or     08*; no SQLSTATE at all if it broke or was never made;
cannot be made                2002, 2003, 2006, 2013, 2055, 1158 to 1161, and 0 for a closed connection
the server stops or starts    57P*; 1053, 1927, 4031
too many connections          53300; 1040, 1203
a conflict with another       40001, 40P01, 55P03; 1205, 1213;
transaction                   SQLite: locked, busy
============================  =======================================================================================

Any other error is permanent: a wrong password, a column that is too short, no permission to write. A retry repeats the
whole transaction, so it does not matter how far the last try came. Even a commit whose answer was lost is safe: the
ledger (:mod:`.ledger`) tells the retry that the micro-batch is stored.
"""

from __future__ import annotations

import re
import sqlite3
import sys
import time
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from headrace.common.retry import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

T = TypeVar("T")

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0
_TRANSIENT_CLASSES = ("08", "57P")
_TRANSIENT_STATES = frozenset({"40001", "40P01", "53300", "55P03"})
_TRANSIENT_NUMBERS = frozenset(
    {0, 1040, 1053, 1158, 1159, 1160, 1161, 1203, 1205, 1213, 1927, 2002, 2003, 2006, 2013, 2055, 4031}
)
# libpq reports no SQLSTATE for errors while connecting, so only the text tells a refusal from an outage.
_REFUSED = re.compile(
    r"authentication failed|no pg_hba\.conf entry|does not exist|permission denied|no password supplied"
    r"|is not permitted|certificate|invalid (?:connection option|integer value|sslmode)|could not translate host name"
)


def is_transient(error: Exception) -> bool:
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
        return number in _TRANSIENT_NUMBERS
    state = getattr(cause, "sqlstate", None)
    if state is not None:
        return state in _TRANSIENT_STATES or state.startswith(_TRANSIENT_CLASSES)
    return isinstance(error, OperationalError | InterfaceError) and not _REFUSED.search(str(cause))


class OutageRetry:
    """Retries work while its errors are transient, with growing pauses.

    Args:
        retry_for: how long, from the first failure on; zero: no retry.
        clock: monotonic seconds.
        sleep: waits for some seconds.
        say: gets one line when an outage begins and one when it ends.
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

    def run(self, work: Callable[[], T], name: str) -> T:
        """Return the result of ``work``; raise the last error if the time is over or the error is permanent.

        Args:
            work: repeated after each transient error.
            name: the database, for messages.
        """
        pauses, failed_s = Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S), None
        while True:
            try:
                result = work()
            except Exception as error:
                now_s = self._clock()
                if not is_transient(error):
                    raise
                if failed_s is None:
                    failed_s = now_s
                    self._say(f"{name}: {reason_of(error)}; trying again for {self._retry_for_s:.0f} s")
                left_s = failed_s + self._retry_for_s - now_s
                if left_s <= 0:
                    raise
                self._sleep(min(pauses.take(), left_s))
            else:
                if failed_s is not None:
                    self._say(f"{name}: answers again after {self._clock() - failed_s:.0f} s")
                return result


def reason_of(error: Exception) -> str:
    """Return the database's message in one line, without the statement: strangers wrote its values."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    number_first = len(cause.args) > 1 and isinstance(cause.args[0], int)
    text = str(cause.args[1] if number_first else cause).strip()
    # PostgreSQL puts a row's values into a second line (DETAIL), which must not reach our log.
    return text.partition("\n")[0] or type(cause).__name__


def _to_standard_error(text: str) -> None:
    sys.stderr.write(f"database: {text}\n")
    sys.stderr.flush()
