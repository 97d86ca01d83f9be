"""The orphan guard: a small process that ends the stages when the run that started them is killed.

::

    run ────── pipe (only the run holds the writing end) ──────► guard

    the run stops everything itself     writes one byte, closes the pipe     the guard ends
    the run dies, even of SIGKILL       the kernel closes the pipe           the guard ends the run's processes

A process that dies of SIGKILL cannot end its children, so another process has to do it.

The guard finds the processes of a run by two environment variables that each process inherits: ``HEADRACE_RUN``, the
run's id, and ``HEADRACE_STATE``, its state folder. This also finds the JVM that the Spark driver started, and the
Python workers that the JVM started, after their parents are gone. Process ids are not enough: the system reuses them.
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
"""Time between SIGTERM and SIGKILL, in which the bridge syncs and closes its log."""


class Guard:
    """The run's side of the guard process, which the constructor starts."""

    def __init__(self, run_id: str, environment: Mapping[str, str]) -> None:
        # Without the run's variables: the guard must not end itself with the rest.
        marks = (RUN_VARIABLE, STATE_VARIABLE)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "headrace.local.orphan_guard", run_id],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={name: value for name, value in environment.items() if name not in marks},
            # Its own session, so that Ctrl-C in the terminal does not reach it.
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The guard's process id."""
        return self._process.pid

    def dismiss(self) -> None:
        """Tell the guard that nothing is left to end, and wait for its end."""
        if self._process.stdin is not None:
            try:
                self._process.stdin.write(ALL_IS_STOPPED)
                self._process.stdin.close()
            except BrokenPipeError:
                pass  # the guard itself was killed
        self._process.wait()


def end_processes(belongs: Callable[[Mapping[str, str]], bool], grace_s: float = GRACE_S) -> list[int]:
    """End every other process whose environment ``belongs`` to the run, SIGTERM first; return their ids.

    Looks three times, because a process may start another one meanwhile.
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
            # A zombie has ended already. Waiting for its parent to collect it would only use up the grace time.
            if process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE and belongs(process.environ()):
                found.append(process)
        except psutil.Error:
            # The process has ended meanwhile, or belongs to another user.
            continue
    return found


def main() -> None:
    """Wait for the end of standard input; end the run's processes unless the run has stopped them."""
    # The guard must outlive the terminal, and whoever sends these signals to the run.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    run_id = sys.argv[1]
    if sys.stdin.buffer.read() != ALL_IS_STOPPED:
        end_processes(lambda environment: environment.get(RUN_VARIABLE) == run_id)


if __name__ == "__main__":
    main()
