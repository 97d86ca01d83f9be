"""One child process in its own process group, with a bounded log file, and a way to end it for certain.

The child gets its own group for two reasons. Ctrl-C in the terminal then reaches only the command line, which stops the
stages in the order of the data. And a signal to the group reaches the child's own children.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from flume.agent.output_log import RotatingLog

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

KEPT_LINES = 40
MAX_LINE_BYTES = 8192


class ChildProcess:
    """A process that was started.

    Args:
        command: the program and its arguments.
        log: the file for its standard error, bounded as a ``RotatingLog`` is.
        environment: its environment variables.
        stdout: its standard output; None for the same as ours.

    Raises:
        OSError: the program cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        environment: Mapping[str, str],
        stdout: int | IO[bytes] | None = subprocess.DEVNULL,
    ) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            env=dict(environment),
            start_new_session=True,
        )
        self._last_lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._pump = threading.Thread(target=self._keep_log, args=(RotatingLog(log),), daemon=True)
        self._pump.start()

    @property
    def pid(self) -> int:
        """The process id, which is also the id of its group."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """Return the exit code, negative for a signal, or None while the process lives."""
        return self._process.poll()

    def last_lines(self) -> list[str]:
        """Return the newest lines of standard error; after the end of the process, its last ones."""
        if self._process.poll() is not None:
            # A grandchild may keep the pipe open for long after the child has ended, so the wait is bounded.
            self._pump.join(timeout=1.0)
        return list(self._last_lines)

    def lower_priority(self, niceness: int) -> None:
        """Let other processes go first when the cores are busy. What the process starts inherits this.

        Linux may schedule each session as a whole (autogroups, sched(7)). The niceness of a process then has no effect
        outside of its session. A stage is a session, so the niceness of its autogroup is set as well.
        """
        if self._process.poll() is not None:
            return
        # Errors are ignored, since only speed depends on it: the process may have ended, or autogroups are missing.
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, self._process.pid, niceness)
        with suppress(OSError):
            Path(f"/proc/{self._process.pid}/autogroup").write_text(str(niceness), encoding="ascii")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process alone; it is expected to end its own children."""
        if self._process.poll() is None:
            self._process.send_signal(number)

    def wait(self, timeout_s: float) -> bool:
        """Wait for the end of the process; return False if it has not ended in time."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def end(self, grace_s: float) -> int:
        """Send SIGTERM, after ``grace_s`` SIGKILL to the whole group; return the exit code. May be called again."""
        self.signal(signal.SIGTERM)
        self.wait(grace_s)
        # Also after a clean end: a child that the process left behind would run on with nobody to stop it.
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass  # the group is empty (macOS reports that as EPERM)
        code = self._process.wait()
        self._pump.join(timeout=5.0)
        return code

    def _keep_log(self, log: RotatingLog) -> None:
        stderr = self._process.stderr
        if stderr is None:
            return
        with stderr:
            # Bounded, so that a line without an end cannot fill the memory.
            while line := stderr.readline(MAX_LINE_BYTES):
                log.write(line)
                self._last_lines.append(line.decode("utf-8", "replace").rstrip())
        log.close()
