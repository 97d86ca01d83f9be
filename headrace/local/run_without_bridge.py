"""Runs a job that reads from object storage: one process, without agent and bridge.

A process that dies is started again after a pause. The pause doubles from one second to thirty, and starts at one
second again after a process has lived for a minute. The job goes on from its checkpoint.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING

from headrace import jars_s3a
from headrace.common.retry import Backoff
from headrace.common.text import printable
from headrace.errors import HeadraceError, Interrupted, SumBroken, UsageError
from headrace.local.run import caught_signals
from headrace.local.stage_output import read_json
from headrace.local.supervisor import FIRST_PAUSE_S, LONGEST_PAUSE_S, STEADY_S
from headrace.messages import say
from headrace.state_folder import StateFolder
from spark_job.runner.s3a import SCHEME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headrace.local.run import Signals
    from headrace.local.run_options import RunOptions

REFUSED, INTERRUPTED = 2, 130
POLL_S = 0.2


def run_without_bridge(options: RunOptions, *, temporary: bool) -> None:
    """Run a job until it is stopped, or until it has read the files that its options name.

    The state folder of a ``temporary`` run is removed when the run succeeds.

    Raises:
        UsageError: the job refuses its options; it has printed why.
        Interrupted: a second signal came before the job had stopped.
        SumBroken: a record in the files is not accounted for.
        HeadraceError: the job failed over files; it has printed why.
        FlumeError: the jars for S3 cannot be fetched.
    """
    options = with_s3_jars(options)
    ends_by_itself = bool(getattr(options.own, "files", ()))
    with _folder(options, temporary=temporary) as state, state.lock():
        command = [sys.executable, "-m", "spark_job", *options.job_arguments(job_folder=state.job)]
        with caught_signals() as signals, state.log_of("job").open("w+") if ends_by_itself else nullcontext() as log:
            code = _run(command, signals, again=not ends_by_itself, log=log)
            if log is not None:
                _tell_result(log, code)
                tally = read_json(state.job / "tally.json")
                if code == 0 and tally is not None and tally["read"] != tally["counted"] + tally["malformed"]:
                    raise SumBroken("the sum does not hold: a line may hold several records, or a file has changed")
    if signals.hurried():
        raise Interrupted("stopped in a hurry; the next start goes on")
    if code == REFUSED:
        raise UsageError(f"the job {options.job} refused its options; see above")
    if code not in (0, INTERRUPTED):
        raise HeadraceError(f"the job {options.job} ended with exit code {code}; {state.job} has its logs")


def with_s3_jars(options: RunOptions) -> RunOptions:
    """Return the options with the folder of the jars for S3. Call it before signals are caught.

    Raises:
        FlumeError: a jar cannot be fetched, or Java is missing.
    """
    if not getattr(options.own, "path", "").startswith(SCHEME) or getattr(options.own, "s3a_jars", None) is not None:
        return options
    if not jars_s3a.cache_folder().is_dir():
        say("fetching the jars for S3 (12 MB, once)")
    return options.with_own(s3a_jars=jars_s3a.ensure_jars()[0].parent)


def _tell_result(log: IO[str], code: int) -> None:
    """Print the sum, which is the last line of the job's log; after a failure print the log to standard error."""
    log.seek(0)
    *before, last = log.read().splitlines() or [""]
    if code == 0:
        print(last)  # noqa: T201 - it is the command's result
    else:
        sys.stderr.write("".join(f"{printable(line)}\n" for line in [*before, last]))


def _run(command: list[str], signals: Signals, *, again: bool, log: IO[str] | None) -> int:
    """Run a process until it is stopped or has succeeded; return its exit code."""
    backoff = Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S)
    while True:
        began_s = time.monotonic()
        process = subprocess.Popen(command, stderr=log)
        try:
            code = _wait(process, signals)
        finally:
            process.kill()
            process.wait()
        if not again or signals.stop_asked or code in (0, REFUSED, INTERRUPTED):
            return code
        if time.monotonic() - began_s >= STEADY_S:
            backoff.reset()
        pause_s = backoff.take()
        say(f"the job ended with exit code {code}; it is started again in {pause_s:.0f} s")
        if signals.wake.wait(pause_s):
            return 0


def _wait(process: subprocess.Popen[bytes], signals: Signals) -> int:
    """Return the exit code. The first signal stops the job between two micro-batches, the second at once."""
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
