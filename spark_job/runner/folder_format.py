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
a newer Spark               refuses, if the job needs its checkpoint: Spark reads those of older versions, but
                            promises nothing about newer ones
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


def check_versions(root: Path, *, checkpoint: bool = True) -> None:
    """Refuse a folder that this program cannot continue in; otherwise record this program's versions.

    Args:
        root: the job folder.
        checkpoint: whether the job goes on from Spark's checkpoint.

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
    if checkpoint and spark is not None and _release(spark) > _release(running):
        raise JobFolderError(
            f"the checkpoint in {root} was written by Spark {spark}, this is Spark {running}: use the headrace with "
            f"the newer Spark, or {AFRESH}"
        )
    now = {"format": FORMAT_VERSION, "spark": running}
    if now != {"format": found, "spark": spark}:
        with sink_errors(path), replacing(path) as file:
            file.write(json.dumps(now).encode())


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
