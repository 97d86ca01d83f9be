"""A job that reads from elsewhere than a bridge: one process, with neither agent nor bridge before it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.errors import HeadraceError, Interrupted, OptionError
from headrace.run import caught_signals
from headrace.state import StateFolder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headrace.options import RunOptions
    from headrace.run import Signals

REFUSED, INTERRUPTED = 2, 130
POLL_S = 0.2


def run_direct(options: RunOptions, *, temporary: bool) -> None:
    """Run a job until it is stopped, or until it has read the files that its options name.

    The state folder of a ``temporary`` run is removed when all went well.

    Raises:
        OptionError: the job refuses its options; it has said why.
        Interrupted: a second signal came before the job had stopped.
        HeadraceError: the job failed; it has said why.
    """
    with _folder(options, temporary=temporary) as state, state.lock():
        told = options.job_arguments(job_folder=state.job)
        with caught_signals() as signals:
            process = subprocess.Popen([sys.executable, "-m", "spark_job", *told])
            try:
                code = _wait(process, signals)
            finally:
                process.kill()
                process.wait()
    if signals.hurried():
        raise Interrupted("stopped in a hurry; the next start goes on")
    if code == REFUSED:
        raise OptionError(f"the job {options.job} refused its options; see above")
    if code not in (0, INTERRUPTED):
        raise HeadraceError(f"the job {options.job} ended with exit code {code}; {state.job} has its logs")


def _wait(process: subprocess.Popen[bytes], signals: Signals) -> int:
    """Return the exit code; the first signal stops the job between two batches, the second one at once."""
    asked = False
    while process.poll() is None:
        signals.wake.wait(POLL_S)
        if signals.hurried():
            process.kill()
        elif signals.stop_asked and not asked:
            asked = True
            process.terminate()
        signals.wake.clear()
    return process.wait()


@contextmanager
def _folder(options: RunOptions, *, temporary: bool) -> Iterator[StateFolder]:
    state = StateFolder(Path(tempfile.mkdtemp(prefix="headrace-once-")) if temporary else options.state)
    state.create()
    yield state
    if temporary:
        shutil.rmtree(state.root)
