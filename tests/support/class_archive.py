"""An archive of the classes that Spark loads at its start, with which the tests' Spark starts faster.

A job lives for some seconds in a test, and a third of its processor time goes into reading and verifying thousands of
classes. Java can map these from an archive instead (class data sharing). That changes no behaviour, and Java ignores an
archive that does not fit its own version or the jars. ``make test`` makes it once, in the virtual environment:

    python -m tests.support.class_archive

``tests/conftest.py`` then gives these options to every Spark that a test starts.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

ARCHIVE = Path(sys.prefix) / "spark-classes.jsa"
VARIABLE = "SPARK_SUBMIT_OPTS"
"""Options of Java that ``spark-submit`` reads; PySpark starts Java with it."""

QUIET = "-Xlog:cds*=off -Xlog:class+path=off"
JOB = "sensors"
"""A job that loads much of Spark: SQL, a state for each key, Python workers."""


def java_options(archive: Path = ARCHIVE) -> str:
    """Return the options of Java that use the archive; empty if there is none.

    Where the archive does not fit, for example in a virtual environment that a test makes, Java says so on standard
    output. Tests read that, so the note is turned off.
    """
    return f"-XX:SharedArchiveFile={archive} {QUIET}" if archive.exists() else ""


def main() -> int:
    """Make the archive; say so where this Java cannot, and succeed: the tests only take longer."""
    # Imported here: every test run imports this module.
    from spark_job.jobs.catalog import entry_of
    from tests.support.jobs_page import output_of

    with tempfile.TemporaryDirectory(prefix="class-archive-", dir=ARCHIVE.parent) as folder:
        made = Path(folder) / ARCHIVE.name
        os.environ[VARIABLE] = f"-XX:ArchiveClassesAtExit={made} {QUIET}"
        try:
            output_of(entry_of(JOB), Path(folder))
        except RuntimeError as error:
            sys.stderr.write(f"{error}\n")
        if not made.exists():
            sys.stderr.write("this Java made no archive of classes: the tests with Spark take longer\n")
            return 0
        made.replace(ARCHIVE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
