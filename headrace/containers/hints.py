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
NUMBERS = ("workers", "bridges")


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
    if _called_by_make():
        return " ".join(["make", command, *(typed_number(name, value) for name, value in given.items())])
    words = ["headrace", command]
    if command in SHARED_WITH_RUNS:
        words.append("--containers")
    words += [typed_number(name, value) if name in NUMBERS else str(value) for name, value in given.items()]
    return " ".join(words)


def typed_number(name: str, value: object) -> str:
    """Return a number of replicas as the caller of this program types it: ``WORKERS=3`` or ``--workers 3``."""
    return f"{name.upper()}={value}" if _called_by_make() else f"--{name} {value}"


def _called_by_make() -> bool:
    return os.environ.get(CALLED_BY) == "make"
