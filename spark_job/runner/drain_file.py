"""The file that ends a bounded run: the offset of each log at which the job stops.

Whoever starts the run (``--drain-to-file``) puts it in place by a rename, once the last line is at the bridges::

    {"<log id>": end offset, ...}
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from spark_job.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def read_drain_file(path: Path) -> dict[str, int]:
    """Return log id to end offset.

    Raises:
        OptionError: the file holds something else.
    """
    try:
        return {str(log_id): int(end) for log_id, end in json.loads(path.read_bytes()).items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise OptionError(f"--drain-to-file={str(path)!r}: not a map of log ids to offsets: {error}") from None


def drain_ends(path: Path | None) -> dict[str, int] | None:
    """Return where the run ends; None while nobody has said so.

    Raises:
        OptionError: as for :func:`read_drain_file`.
    """
    return read_drain_file(path) if path is not None and path.exists() else None


def is_drained(path: Path | None, positions: Mapping[str, int]) -> bool:
    """Say whether everything up to the ends in the file is done.

    Args:
        path: the file; None if the run has no end.
        positions: log id to the offset up to which everything is stored.

    Raises:
        OptionError: as for :func:`read_drain_file`.
    """
    ends = drain_ends(path)
    return ends is not None and all(positions.get(log_id, 0) >= end for log_id, end in ends.items())
