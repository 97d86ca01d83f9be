"""Turns what Spark raises into one sentence: the error of this package that ended a query.

Spark wraps an error of a Python worker or batch function into texts of several languages, one trace below the other.
The names and texts of Python exceptions in there are read from the innermost outwards.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException

import spark_job.errors
from spark_job.errors import QueryFailed, SparkJobError

if TYPE_CHECKING:
    from pathlib import Path

MAX_CAUSE_CHARACTERS = 500
JAVA_IS_GONE = (Py4JError, ConnectionError, EOFError)
"""What a call into Java raises when its process has ended."""
# Spark also describes the query, in a line that looks like a cause and is none: "Identifier: name [id = ...]".
_PYTHON_CAUSE = re.compile(r"^(?!Identifier: )(?:[\w.]+\.)?(\w+): (\S.*)$", re.MULTILINE)


def cause_of(error: Exception, failure: Exception | None = None) -> SparkJobError:
    """Return what ended a query, in one sentence, as an error of this package.

    Args:
        error: what Spark raised: a text with the traces of several languages in it.
        failure: what the batch function raised, if that ended the query.
    """
    if isinstance(failure, SparkJobError):
        return failure
    if failure is not None and not isinstance(failure, PySparkException):
        return QueryFailed(f"{type(failure).__name__}: {first_line(str(failure))}")
    found = _PYTHON_CAUSE.findall(str(failure or error))
    # The innermost cause stands last. One of our own says more than what a library raised around it.
    for name, text in reversed(found):
        kind = getattr(spark_job.errors, name, None)
        if isinstance(kind, type) and issubclass(kind, SparkJobError):
            return kind(first_line(text))
    if found:
        return QueryFailed(first_line(": ".join(found[-1])))
    return QueryFailed(first_line(str(error)))


def java_has_died(job_folder: Path) -> QueryFailed:
    """Return the error for a Java process that has ended; its logs say why."""
    return QueryFailed(f"the Java side of Spark has died; {job_folder} has java.log and spark.log")


def first_line(text: str) -> str:
    """Return the first line of a text, cut to a length that a console can show."""
    line = text.strip().partition("\n")[0]
    return line if len(line) <= MAX_CAUSE_CHARACTERS else f"{line[:MAX_CAUSE_CHARACTERS]}..."
