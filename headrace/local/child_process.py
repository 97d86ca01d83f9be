"""One child process: a group of its own, what it says kept in a bounded file, an end that is sure.

A group of its own, so that Ctrl-C in the terminal reaches only the command line, which stops the stages in the order of
the data; and so that a signal to the group reaches the child's own children.
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

MAX_LOG_BYTES = 8 << 20
KEPT_LINES = 40
MAX_LINE_BYTES = 8192


class ChildProcess:
    """A process that was started; ``stdout`` of None means: the same as ours."""

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        environment: Mapping[str, str],
        stdout: int | IO[bytes] | None = subprocess.DEVNULL,
    ) -> None:
        """Start ``command``; what it writes to standard error goes to ``log``.

        Raises:
            OSError: the program cannot be started.
        """
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
        self._pump = threading.Thread(target=self._keep_log, args=(RotatingLog(log, MAX_LOG_BYTES),), daemon=True)
        self._pump.start()

    @property
    def pid(self) -> int:
        """The process id, which is the group's id too."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """Return the exit code, negative for a signal, or None while the process lives."""
        return self._process.poll()

    def last_lines(self) -> list[str]:
        """Return the newest lines of standard error, all of them once the process has ended."""
        if self._process.poll() is not None:
            # A grandchild may keep the pipe open; its lines are of no interest here.
            self._pump.join(timeout=1.0)
        return list(self._last_lines)

    def stand_back(self, niceness: int) -> None:
        """Let other processes go first where the cores are short; what the process starts inherits that.

        Linux may schedule each session as one (autogroups, sched(7)), and a process's niceness then says nothing to
        other sessions. A stage is a session of its own, so its group is told as well.
        """
        if self._process.poll() is not None:
            return
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, self._process.pid, niceness)
        with suppress(OSError):
            Path(f"/proc/{self._process.pid}/autogroup").write_text(str(niceness), encoding="ascii")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process itself, which is to end its own children."""
        if self._process.poll() is None:
            self._process.send_signal(number)

    def wait(self, timeout_s: float) -> bool:
        """Wait for the end of the process; False when it did not come in time."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def end(self, grace_s: float) -> int:
        """SIGTERM, then after ``grace_s`` SIGKILL to the whole group; return the exit code. May be called again."""
        self.signal(signal.SIGTERM)
        self.wait(grace_s)
        # Also after a clean end: what the process left in its group has no owner any more.
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass  # the group is empty (macOS says so with EPERM)
        code = self._process.wait()
        self._pump.join(timeout=5.0)
        return code

    def _keep_log(self, log: RotatingLog) -> None:
        stderr = self._process.stderr
        if stderr is None:
            return
        with stderr:
            # Bounded, so that a stage that never ends its line cannot take the memory.
            while line := stderr.readline(MAX_LINE_BYTES):
                log.write(line)
                self._last_lines.append(line.decode("utf-8", "replace").rstrip())
        log.close()
