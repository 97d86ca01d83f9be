"""Checks which version made a job folder: ``format.json``, which is read before anything else in the folder.

::

    format    version of what Headrace keeps there (tables, audit files, offsets in the checkpoint)
    spark     version of Spark that last used the checkpoint

==========================  =======================================================================================
the folder has              and the program
==========================  =======================================================================================
this format                 continues
an older format it knows    continues; the folder has this format from then on, and the older program refuses it
an older format, unknown    refuses
a newer format              refuses
a newer Spark               does without the checkpoint: Spark reads those of older versions, but promises nothing
                            about newer ones. Jobs over DStreams and over objects, which cannot, refuse
==========================  =======================================================================================

A folder without the file is new, or older than the file; in both cases it has format 1. Since format 2 the results
table says which lines its rows are of: that of URL counts, and those of the other jobs, which had a file beside it.
"""

from __future__ import annotations

import json
from importlib import metadata
from typing import TYPE_CHECKING

from headrace.common.files import replacing
from spark_job.errors import JobFolderError, sink_errors

if TYPE_CHECKING:
    from pathlib import Path

FORMAT_FILE = "format.json"
FORMAT_VERSION = 2
OLDEST_VERSION = 1
FIRST_VERSION = 1

AFRESH = "take a new job folder and, to count again what the bridges keep, another consumer name"


def check_versions(root: Path, *, checkpoint: bool = True) -> str:
    """Refuse a folder that this program cannot continue in; otherwise record this program's versions.

    Args:
        root: the job folder.
        checkpoint: whether the job cannot do without Spark's checkpoint.

    Returns:
        Why Spark cannot read the checkpoint; empty if it can. The versions are then recorded by :func:`record_versions`
        once the checkpoint is deleted: a kill before that must not make it look like one of this Spark.

    Raises:
        JobFolderError: see the table above; the text says what to do. The folder is unchanged.
    """
    path = root / FORMAT_FILE
    found, spark = _read(path)
    if found > FORMAT_VERSION:
        raise JobFolderError(
            f"{root} was made by a newer headrace (format {found}, this one knows up to {FORMAT_VERSION}): "
            f"use that version, or {AFRESH}"
        )
    if found < OLDEST_VERSION:
        raise JobFolderError(
            f"{root} was made by an older headrace (format {found}, this one knows {OLDEST_VERSION} to "
            f"{FORMAT_VERSION}): use that version, or {AFRESH}"
        )
    running = metadata.version("pyspark")
    if spark is not None and _release(spark) > _release(running):
        written_by = f"written by Spark {spark}, this is Spark {running}"
        if not checkpoint:
            return f"it was {written_by}"
        raise JobFolderError(
            f"the checkpoint in {root} was {written_by}: use the headrace with the newer Spark, or {AFRESH}"
        )
    if (found, spark) != (FORMAT_VERSION, running):
        record_versions(root)
    return ""


def record_versions(root: Path) -> None:
    """Write this program's versions into a job folder.

    Raises:
        SinkError: the file cannot be written.
    """
    path = root / FORMAT_FILE
    with sink_errors(path), replacing(path) as file:
        file.write(json.dumps({"format": FORMAT_VERSION, "spark": metadata.version("pyspark")}).encode())


def _read(path: Path) -> tuple[int, str | None]:
    try:
        fields = json.loads(path.read_bytes())
        spark = fields["spark"]
        return int(fields["format"]), None if spark is None else str(spark)
    except FileNotFoundError:
        return FIRST_VERSION, None
    except (ValueError, KeyError, TypeError):
        raise JobFolderError(f"{path}: damaged, so the version of the folder is unknown; {AFRESH}") from None


def _release(version: str) -> tuple[int, ...]:
    """Return the feature release of a Spark version: 4.3 for 4.3.1. Patch releases read each other's checkpoints."""
    return tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
