"""Ends what a run started when the run itself is killed.

A process that is ended by SIGKILL cannot end its children. So each run starts one guard, which does nothing but wait
for the end of a pipe whose only writing end the run holds; the kernel closes it however the run dies. A run that
stopped everything itself says so first, with one byte.

What belongs to a run is known by two variables that every process inherits from it: ``HEADRACE_RUN``, the run's id,
and ``HEADRACE_STATE``, its state folder. So the JVM below the Spark driver and the Python workers below that JVM are
found too, also when their parents are gone. A process id alone would not do: it may have been given to somebody else.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import psutil

RUN_VARIABLE = "HEADRACE_RUN"
STATE_VARIABLE = "HEADRACE_STATE"
ALL_IS_STOPPED = b"."
GRACE_S = 10.0
"""Between SIGTERM and SIGKILL: the bridge syncs and closes its log in that time."""


class Guard:
    """The guard process of one run, seen from the run."""

    def __init__(self, run_id: str, environment: Mapping[str, str]) -> None:
        """Start it. It does not carry the run's variables itself: it is not to be ended with the rest."""
        marks = (RUN_VARIABLE, STATE_VARIABLE)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "headrace.local.orphan_guard", run_id],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={name: value for name, value in environment.items() if name not in marks},
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The guard's process id."""
        return self._process.pid

    def dismiss(self) -> None:
        """Tell the guard that there is nothing left to end, and wait for it to go."""
        if self._process.stdin is not None:
            try:
                self._process.stdin.write(ALL_IS_STOPPED)
                self._process.stdin.close()
            except BrokenPipeError:
                pass  # somebody ended the guard; then there is nobody to tell
        self._process.wait()


def end_processes(belongs: Callable[[Mapping[str, str]], bool], grace_s: float = GRACE_S) -> list[int]:
    """End every other process whose environment ``belongs``, SIGTERM first, and return their ids.

    A process that starts another one while this goes on is found by the second look.
    """
    import psutil

    ended = []
    for send in (signal.SIGTERM, signal.SIGKILL, signal.SIGKILL):
        found = _processes(belongs)
        if not found:
            break
        ended += [process.pid for process in found if process.pid not in ended]
        for process in found:
            try:
                process.send_signal(send)
            except psutil.Error:
                continue
        psutil.wait_procs(found, timeout=grace_s)
    return ended


def _processes(belongs: Callable[[Mapping[str, str]], bool]) -> list[psutil.Process]:
    import psutil

    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE and belongs(process.environ()):
                found.append(process)
        except psutil.Error:
            # Gone meanwhile, or another user's.
            continue
    return found


def main() -> None:
    """Wait for the end of standard input; end the run's processes unless all is stopped already."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    run_id = sys.argv[1]
    if sys.stdin.buffer.read() != ALL_IS_STOPPED:
        end_processes(lambda environment: environment.get(RUN_VARIABLE) == run_id)


if __name__ == "__main__":
    main()
