"""All errors that the Spark side raises on purpose.

::

    SparkJobError
    ├── OptionError          user      never retry    an option of a source, a sink or a job cannot be used
    ├── OffsetsError         operator  never retry    offsets that the bridges cannot have given
    ├── DataLoss             operator  never retry    unread events are gone or damaged
    ├── BridgeUnavailable    operator  retry          a bridge does not answer, or not in time
    ├── BridgeRefused        operator  never retry    a bridge answers with a refusal: wrong token, bad request
    ├── AuditError           operator  retry          an audit file cannot be written
    ├── AccountingError      operator  retry          checkpoint, audit and results table contradict each other
    ├── JobFolderError       operator  never retry    the job's folder was made with other settings, or lacks a part
    ├── SinkError            operator  retry          a table, a file or the console cannot be written
    ├── QueryFailed          see text  retry          the query ended with an error
    └── QueryStalled         operator  retry          events wait, and no micro-batch has finished for too long

The first column after the name says who can correct it, the second whether a retry may help. What a bridge reports
about its log arrives as the classes of :mod:`avro_bridge.errors`; the sources turn those that mean lost events into
:class:`DataLoss`.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class SparkJobError(Exception):
    """Base class of all errors that the Spark side raises on purpose."""

    retry: ClassVar[bool] = False


class OptionError(SparkJobError):
    """An option cannot be used; the text names the option, its value and what would be right."""


class OffsetsError(SparkJobError):
    """Offsets are malformed, a range starts after its end, or a log is shorter than what was read from it."""


class DataLoss(SparkJobError):
    """Events that the query has not read are gone or damaged; the text names the log and the offsets."""


class BridgeUnavailable(SparkJobError):
    """A bridge does not answer, or not in time; a retry may help."""

    retry = True


class BridgeRefused(SparkJobError):
    """A bridge refuses the request; a retry does not change that."""


class AuditError(SparkJobError):
    """An audit file or folder cannot be written."""

    retry = True


class AccountingError(SparkJobError):
    """The checkpoint, the audit files and the results table contradict each other; the text names the file."""

    retry = True


class JobFolderError(SparkJobError):
    """A job's folder was made with other settings or by another version, belongs to another query, or lacks a part."""


class SinkError(SparkJobError):
    """A sink cannot be written; the text names it."""

    retry = True


class QueryFailed(SparkJobError):
    """The query ended with an error; the text is its first cause, and the job's log file has all of it."""

    retry = True


class QueryStalled(SparkJobError):
    """Events wait at a bridge, and no micro-batch has finished for longer than allowed."""

    retry = True


@contextmanager
def sink_errors(path: Path) -> Iterator[None]:
    """Turn an :class:`OSError` of the block, which writes ``path``, into a :class:`SinkError` that names the file.

    Raises:
        SinkError: the block could not write.
    """
    try:
        yield
    except OSError as error:
        raise SinkError(f"{path}: cannot be written: {error.strerror or error}") from error
