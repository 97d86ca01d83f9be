"""The agent as a process.

::

    start ──► wait_ready ──► poll ... poll ──► stop
               AgentNotReady   AgentEnded
               AgentEnded      SourceDied

Flume does not end when its configuration is wrong: a component that cannot be made is left out with a line in the log,
and an agent of an unknown name runs with none. Nor does it end when its source gives up. So health is what the metrics
page shows: every component of the rendered configuration, and no failed read.

The process runs in the folder of its files, in a process group of its own (so that Ctrl-C at a terminal reaches the
launcher only, which then stops things in order), and holds the reading end of a pipe that nobody writes to: when the
launcher dies, however it dies, the pipe ends and the agent stops in order.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self, cast

from flume.agent.folder_lock import claim, release
from flume.agent.metrics import AgentMetrics, read_metrics, spooling_source_died, spooling_source_stumbles
from flume.agent.output_log import OutputReader, RotatingLog, printable
from flume.agent.recovery import Lines, note_what_was_read
from flume.config.render import CONFIGURATION, JVM_OPTIONS, Rendered
from flume.errors import AgentEnded, AgentError, AgentNotReady, MetricsError, RecoveryError, SourceDied
from flume.jars.java import find_java

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import BinaryIO

LOG_FILE = "agent.log"
_MAIN_CLASS = "org.apache.flume.node.Application"
_POLL_S = 0.1
_CLAIM_TIMEOUT_S = 20.0
_OUTPUT_END_S = 5.0
_LISTING_PATIENCE_S = 30.0
_LISTING_FAILURES = 5
"""So many in that time, and nothing read: it is not that a file was renamed just then."""


class Agent:
    """One agent process; may be started once. A context manager that stops it.

    Args:
        rendered: its files, as `flume.config.render.render_agent` returns them.
        jars: the class path, as `flume.jars.cache.ensure_jars` returns it.
        java: the Java launcher; found if not given.
        output: called with each line of its output, on another thread; if not given, ``agent.log`` in its folder gets
            them and takes at most two times ``max_log_bytes``.
        clock: monotonic seconds.
        sleep: waits that many seconds.
    """

    def __init__(
        self,
        rendered: Rendered,
        jars: Sequence[Path],
        *,
        java: Path | None = None,
        output: Callable[[bytes], None] | None = None,
        max_log_bytes: int = 8 * 1024 * 1024,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.rendered = rendered
        self._jars = list(jars)
        self._java = java
        self._output = output
        self._max_log_bytes = max_log_bytes
        self._clock = clock
        self._sleep = sleep
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: OutputReader | None = None
        self._log: RotatingLog | None = None
        self._stopping = False
        self._listing = (clock(), 0, 0)

    @property
    def pid(self) -> int:
        """The process's id.

        Raises:
            AgentError: it was never started.
        """
        return self._started().pid

    @property
    def returncode(self) -> int | None:
        """The process's exit code; None while it runs or before it was started."""
        return self._process.poll() if self._process else None

    @property
    def metrics_url(self) -> str | None:
        """The metrics page's address, or None while it is not served yet."""
        try:
            port = int(self.rendered.port_file.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None
        host = self.rendered.values.metrics.host
        return f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}/metrics"  # noqa: S104 - compared, not bound

    def errors(self) -> tuple[str, ...]:
        """The last error lines of its log, oldest first, bounded and without control characters."""
        return self._reader.errors() if self._reader else ()

    def start(self) -> None:
        """Start the process and return; `wait_ready` says when it works.

        Raises:
            AgentError: it was started before, the launcher cannot be run, or another agent is at work on the same spool
            or channel folder; one that is about to end, its launcher having died, is waited for.
            JavaMissing: no usable Java.
        """
        if self._process is not None:
            raise AgentError("an Agent object starts one process; make another one")
        java = self._java or find_java()
        # The rest of the options, the password above all, is in files: a command line can be read by everybody.
        command = [str(java), f"@{JVM_OPTIONS}", "-Dflume.monitoring.watchStdin=true"]
        command += ["-cp", os.pathsep.join(map(str, self._jars)), _MAIN_CLASS]
        command += ["-n", self.rendered.values.agent.name, "-f", CONFIGURATION, "--no-reload-conf"]
        claimed = claim(self._claimed_folders(), _CLAIM_TIMEOUT_S, self._clock, self._sleep)
        try:
            self._launch(command, claimed)
        finally:
            release(claimed)

    def _claimed_folders(self) -> list[Path]:
        values = self.rendered.values
        folders = [values.spool.folder, *([values.channel.folder] if values.channel.type == "file" else [])]
        return [Path(folder) for folder in folders]

    def _launch(self, command: list[str], claimed: Sequence[int]) -> None:
        self.rendered.port_file.unlink(missing_ok=True)
        if self._output is None:
            self._log = RotatingLog(self.rendered.folder / LOG_FILE, self._max_log_bytes)
        sink = self._output or cast("RotatingLog", self._log).write
        self._recover(sink)
        try:
            self._process = subprocess.Popen(
                command,
                cwd=self.rendered.folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=claimed,
            )
        except OSError as error:
            self._close_log()
            raise AgentError(f"{command[0]}: cannot be started: {error.strerror}") from error
        self._reader = OutputReader(cast("BinaryIO", self._process.stdout), sink)

    def _recover(self, say: Callable[[bytes], None]) -> None:
        """Let the source go on behind what an agent that was killed has put into the file channel."""
        values = self.rendered.values
        if values.channel.type != "file":
            return
        lines = Lines(values.spool.charset, values.spool.max_line_chars)
        try:
            noted = note_what_was_read(Path(values.spool.folder), Path(values.channel.folder), lines)
        except RecoveryError as error:
            said = f"WARN  recovery: {error}; if the last agent was killed, one batch may be sent twice"
        else:
            if noted is None:
                return
            said = f"INFO  recovery: the last agent was killed before it had noted {noted.lines} lines that it had put "
            said += f"into the channel; they are noted, and byte {noted.offset} is next of {noted.file}"
        say(f"{printable(said)}\n".encode())

    def wait_ready(self, timeout_s: float = 60.0) -> AgentMetrics:
        """Wait until the metrics page shows every component of the configuration, and the channels are open.

        Raises:
            AgentNotReady: the time is over; the text names what is missing and quotes the log's errors.
            AgentEnded: the process has ended.
        """
        process, deadline = self._started(), self._clock() + timeout_s
        missing: tuple[str, ...] = self.rendered.components
        while True:
            self._check_running(process)
            metrics = self._read()
            if metrics is not None:
                missing = metrics.missing(self.rendered.components) or metrics.unhealthy_channels
                if not missing:
                    return metrics
            if self._clock() >= deadline:
                raise AgentNotReady(
                    f"after {timeout_s:g} s the agent's metrics page does not show {', '.join(missing)} at work"
                    + self._quoted(),
                    missing,
                )
            self._sleep(_POLL_S)

    def poll(self) -> AgentMetrics | None:
        """Check the agent's health; returns its metrics, or None when the page did not answer this time.

        Raises:
            AgentEnded: the process has ended although nobody stopped it.
            SourceDied: the spooling source has given up, or cannot list its folder; the text quotes the log, which
                names the file.
        """
        self._check_running(self._started())
        metrics = self._read()
        folder = self.rendered.values.spool.folder
        if self._has_source_died(metrics):
            raise SourceDied(
                f"the spooling source of {folder} has given up and reads no further file until the agent is started "
                "again; move the file it stumbled over out of the folder first" + self._quoted()
            )
        if metrics is not None and self._is_listing_stuck(metrics):
            raise SourceDied(
                f"the spooling source cannot list {folder} and reads nothing of it; whatever is in it must be readable "
                "for the agent" + self._quoted()
            )
        return metrics

    def stop(self, timeout_s: float = 20.0) -> int | None:
        """Stop the agent: SIGTERM, and SIGKILL when the time is over; returns its exit code (None: never started).

        In order means: the source ends its batch, the sink its request, the file channel writes a checkpoint. What
        is in a memory channel is lost. May be called again, and after the process has ended.
        """
        process = self._process
        if process is None:
            return None
        self._stopping = True
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        if process.stdin is not None:
            process.stdin.close()
        if self._reader is not None:
            self._reader.join(_OUTPUT_END_S)
        self._close_log()
        self.rendered.port_file.unlink(missing_ok=True)
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise AgentError("the agent was not started")
        return self._process

    def _check_running(self, process: subprocess.Popen[bytes]) -> None:
        code = process.poll()
        if code is not None:
            if self._reader is not None:
                self._reader.join(_OUTPUT_END_S)
            how = f"was ended by signal {-code}" if code < 0 else f"has ended with exit code {code}"
            raise AgentEnded(f"the agent {how}{'' if self._stopping else ' by itself'}{self._quoted()}")

    def _read(self) -> AgentMetrics | None:
        url = self.metrics_url
        if url is None:
            return None
        try:
            return read_metrics(url)
        except MetricsError:
            return None

    def _has_source_died(self, metrics: AgentMetrics | None) -> bool:
        if self._reader is not None and self._reader.source_gave_up:
            return True
        if metrics is None or not spooling_source_died(metrics):
            return False
        # The error that was logged before it was counted may not have been read yet, and it names the file.
        deadline_s = self._clock() + _OUTPUT_END_S
        while self._reader is not None and not self._reader.source_gave_up and self._clock() < deadline_s:
            self._sleep(_POLL_S)
        return True

    def _is_listing_stuck(self, metrics: AgentMetrics) -> bool:
        since_s, failures, read = self._listing
        if self._clock() - since_s < _LISTING_PATIENCE_S:
            return False
        self._listing = (self._clock(), spooling_source_stumbles(metrics), metrics.events_read)
        return self._listing[1] - failures >= _LISTING_FAILURES and self._listing[2] == read

    def _quoted(self) -> str:
        errors = self.errors()
        where = f"; its log is {self.rendered.folder / LOG_FILE}" if self._output is None else ""
        return (". Its last errors:\n  " + "\n  ".join(errors[-6:]) if errors else "") + where

    def _close_log(self) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None
