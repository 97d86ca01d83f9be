"""The file ``open-from`` in the audit folder: where the oldest open pane starts, in microseconds since the epoch.

Lines before that instant are too old: all of their windows are closed. The job computes the instant from its results
table and writes it before the micro-batch that it holds for; each task of that micro-batch reads it. Without the file
nothing is closed.

The file is replaced whole, but not synced: a loss of power may leave it empty. So a job that starts writes it again, or
removes it, before its first micro-batch.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from headrace.common.durations import MICROSECOND
from headrace.common.files import replace_file
from headrace.common.text import EPOCH
from spark_job.errors import AccountingError, AuditError

if TYPE_CHECKING:
    from pathlib import Path

FILE_NAME: Final = "open-from"
_NUMBER: Final = re.compile(rb"-?[0-9]{1,18}\n?")
_FIRST_US: Final = (datetime.min.replace(tzinfo=UTC) - EPOCH) // MICROSECOND
_LAST_US: Final = (datetime.max.replace(tzinfo=UTC) - EPOCH) // MICROSECOND


def write_open_from(folder: Path, open_from_us: int | None) -> None:
    """Write the file, or remove it for None.

    Args:
        folder: the folder that the source gets as its option ``audit``.
        open_from_us: where the oldest open pane starts, in microseconds since the epoch; None if nothing is closed.

    Raises:
        AuditError: the folder cannot be written.
    """
    path = folder / FILE_NAME
    try:
        if open_from_us is None:
            path.unlink(missing_ok=True)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            replace_file(path, b"%d\n" % open_from_us, durable=False)
    except OSError as error:
        raise AuditError(f"option audit: {path} cannot be written: {error.strerror or error}") from error


def read_open_from(folder: Path) -> int | None:
    """Return where the oldest open pane starts, in microseconds since the epoch; None if nothing is closed.

    Raises:
        AccountingError: the file cannot be read, or does not hold an instant.
    """
    path = folder / FILE_NAME
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise AccountingError(f"{path}: cannot be read: {error.strerror or error}") from error
    # Not only any number: the error of a dead letter shows the instant as a date.
    if not _NUMBER.fullmatch(content) or not _FIRST_US <= int(content) <= _LAST_US:
        raise AccountingError(
            f"{path}: {content[:40]!r} is not an instant in microseconds since the epoch; restart the job, which "
            "writes the file again"
        )
    return int(content)
