"""``run``, ``demo`` and ``stop``: the pipeline until the user stops it."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from headrace.common.files import replacing
from headrace.drop import drop
from headrace.errors import Interrupted, NotRunning, StageTimeout
from headrace.local.pipeline import Pipeline, started
from headrace.messages import say
from headrace.sample import SampleSettings, sample_lines
from headrace.state_folder import StateFolder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from headrace.local.run_options import RunOptions

SAMPLE_NAME = "sample.log"
CLEAN_EVERY_S = 10.0
LOOK_S = 0.1


class Signals:
    """Counts Ctrl-C, SIGTERM and SIGHUP: the first asks for a stop in order, the second for a quick one."""

    def __init__(self) -> None:
        self.count = 0
        self.wake = threading.Event()

    @property
    def stop_asked(self) -> bool:
        """Whether a stop was asked for."""
        return self.count > 0

    def hurried(self) -> bool:
        """Whether a stop was asked for twice."""
        return self.count > 1

    def take(self, _number: int, _frame: object) -> None:
        """Count one signal; a signal handler."""
        self.count += 1
        self.wake.set()


@contextmanager
def caught_signals() -> Iterator[Signals]:
    """Count the signals that ask for a stop, instead of dying of them, while the block runs."""
    signals = Signals()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signals.take) for number in numbers}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_until_stopped(options: RunOptions, root: Path, spool: Path | None) -> None:
    """Run until Ctrl-C or SIGTERM, then stop in the order of the data.

    Raises:
        StateError: the folder cannot be used.
        StageRefused: a stage's configuration cannot be used.
        Interrupted: the stop was hurried by a second signal.
    """
    state = StateFolder(root, spool)
    state.create()
    with state.lock():
        _run(state, options, hint=f"hand over log files with: headrace drop{_named_state(root)} FILE")


def run_demo(options: RunOptions, root: Path, sample: SampleSettings) -> None:
    """Run with a sample, unless this state folder has had its sample before.

    Raises:
        HeadraceError: as for :func:`run_until_stopped`.
    """
    state = StateFolder(root)
    state.create()
    with state.lock():
        given = state.root / SAMPLE_NAME
        if given.exists():
            say("this state folder has its sample already; going on with what it has counted")
        else:
            # This file says that the sample was handed over, so it is written first: a crash between the two steps
            # leaves a demo without a sample. In the other order the sample could be counted twice.
            with replacing(given) as file:
                file.writelines(sample_lines(sample))
            drop([given], state.spool)
            say(f"handed over a sample of {sample.lines:,} lines, of which {sample.malformed} are not log lines")
        named = _named_state(root)
        # The targets of make know the default folder only.
        if named:
            tries = f"`headrace drop{named} access.log` and `headrace status{named}`"
        else:
            tries = "`make drop FILE=access.log` (headrace drop access.log) and `make status` (headrace status)"
        hint = f"in another terminal, try {tries}; "
        hint += "Ctrl-C here stops everything, and the next start goes on"
        _run(state, options, hint)


def _run(state: StateFolder, options: RunOptions, hint: str) -> None:
    jars = fetched_jars()
    with caught_signals() as signals, started(state, options, jars, say, wake=signals.wake) as pipeline:
        say(f"starting; everything is kept in {state.root}, the stages' logs in {state.logs}")
        try:
            _step_until_asked(pipeline, signals, hint)
        finally:
            pipeline.stop(signals.hurried)
        if signals.hurried():
            raise Interrupted("stopped in a hurry; nothing that was acknowledged is lost, the next start goes on")
        say("stopped; the next start goes on from here")


def fetched_jars() -> list[Path]:
    """Return Flume's jars. Call it before signals are caught, so that Ctrl-C ends a slow download at once.

    Raises:
        FlumeError: a jar cannot be fetched, or Java is missing.
    """
    from flume.jars.cache import cache_folder, ensure_jars

    if not cache_folder().is_dir():
        say("fetching Flume's jars (20 MB, once)")
    return ensure_jars()


def _step_until_asked(pipeline: Pipeline, signals: Signals, hint: str) -> None:
    hinted = False
    next_clean_s = time.monotonic() + CLEAN_EVERY_S
    while not signals.stop_asked:
        pipeline.step()
        if not hinted and pipeline.supervisor.all_ready:
            say(hint)
            hinted = True
        if time.monotonic() >= next_clean_s:
            pipeline.remove_completed()
            next_clean_s = time.monotonic() + CLEAN_EVERY_S


def stop_run(state: StateFolder, timeout_s: float) -> None:
    """Ask a run in another process to stop, and wait for its end.

    Raises:
        NotRunning: no run holds the folder.
        StageTimeout: it has not ended in time; it goes on stopping.
    """
    run = state.read_run()
    if run is None or not state.is_locked():
        raise NotRunning(f"nothing runs in {state.root}")
    try:
        os.kill(run.pid, signal.SIGTERM)
    except ProcessLookupError:
        pass  # it has just ended
    deadline = time.monotonic() + timeout_s
    # Wait for the lock, not for the process: the lock is free when all stages have stopped, but the process id stays
    # until the parent of the run has collected its exit code.
    while state.is_locked():
        if time.monotonic() > deadline:
            raise StageTimeout(f"the run in {state.root} has not ended within {timeout_s:g} s; it goes on stopping")
        time.sleep(LOOK_S)
    say(f"the run in {state.root} has stopped")


def _named_state(root: Path) -> str:
    from headrace.state_folder import DEFAULT_STATE

    return "" if root == DEFAULT_STATE else f" --state {root}"
