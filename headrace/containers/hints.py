"""The commands that messages tell users to type.

The Makefile and ``headrace`` have the same commands in different words, so each message names those of its caller:

    make scale WORKERS=3 BRIDGES=2        headrace scale --workers 3 --bridges 2
    make drop FILE=access.log             headrace drop --containers access.log
"""

from __future__ import annotations

import os

CALLED_BY = "HEADRACE_CALLED_BY"
"""Environment variable; the Makefile sets it to ``make``."""
SHARED_WITH_RUNS = ("drop", "status")
"""Commands that mean a run on this machine unless they are told ``--containers``."""


def typed(
    command: str,
    *,
    workers: int | None = None,
    bridges: int | None = None,
    service: str | None = None,
    file: str | None = None,
) -> str:
    """Return a command as the caller of this program types it."""
    values = {"workers": workers, "bridges": bridges, "service": service, "file": file}
    given = {name: value for name, value in values.items() if value is not None}
    if os.environ.get(CALLED_BY) == "make":
        return " ".join(["make", command, *(f"{name.upper()}={value}" for name, value in given.items())])
    words = ["headrace", command]
    if command in SHARED_WITH_RUNS:
        words.append("--containers")
    for name, value in given.items():
        words += [f"--{name}", str(value)] if name in ("workers", "bridges") else [str(value)]
    return " ".join(words)
