"""Finds functions that an older checkpoint names: a table from old names to the functions of today.

A DStreams checkpoint contains the functions of the streams, pickled. A lambda is pickled with its code. A function of
an importable module is pickled by module and name, also if only a lambda refers to it. So a state folder of an older
version continues only if every name in it can still be found::

    pickled in the checkpoint          spark_job.dstreams.decoding, rows_of
    while Spark recovers it            a stand-in module ``spark_job.dstreams.decoding`` has ``rows_of``
    in the next checkpoint             spark_job.runner.dstreams.decoder, rows_of

Spark pickles the recovered functions again for each new checkpoint, under their names of today, so an entry serves one
recovery. It can be dropped once no version that wrote the old name is supported any more.

Add an entry when a function of :mod:`.direct_stream` or :mod:`.decoder`, or a function or class of a DStream job's
module, is renamed or moved.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_DIRECT_STREAM = "spark_job.runner.dstreams.direct_stream"

RENAMED: Mapping[str, Mapping[str, tuple[str, str]]] = {
    # Written by version 0.1.0 before its modules moved into packages.
    "spark_job.dstreams.direct": {
        "_tables": (_DIRECT_STREAM, "_tables"),
        "_with_initial": (_DIRECT_STREAM, "_with_initial"),
        "_planned": (_DIRECT_STREAM, "_planned"),
        "_deliver": (_DIRECT_STREAM, "_deliver"),
        "_settle": (_DIRECT_STREAM, "_finish"),
    },
    "spark_job.dstreams.decoding": {"rows_of": ("spark_job.runner.dstreams.decoder", "rows_of")},
    "spark_job.dstreams.pairs": {
        "plus": ("spark_job.jobs.pairs", "plus"),
        "minus": ("spark_job.jobs.pairs", "minus"),
    },
}
"""Old module to old name to (module, name) of today. Texts, not imports: the jobs' modules import this package."""


@contextmanager
def old_names() -> Iterator[None]:
    """Make the old names importable inside the block, in which Spark unpickles a checkpoint."""
    added = [old for old in RENAMED if old not in sys.modules]
    for old in added:
        stand_in = ModuleType(old, f"Stands in for a module that has moved; see {__name__}.")
        for name, (module, today) in RENAMED[old].items():
            setattr(stand_in, name, getattr(import_module(module), today))
        # Enough for pickle, which looks a module up by its whole name and asks for no parent package.
        sys.modules[old] = stand_in
    try:
        yield
    finally:
        for old in added:
            del sys.modules[old]
