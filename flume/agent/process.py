"""Runs an agent as a child process: starts it, checks its health, stops it.

::

    start ──► wait_ready ──► poll ... poll ──► stop
               AgentNotReady   AgentEnded
               AgentEnded      SourceDied

Flume does not exit when its configuration is wrong: it leaves out a component that it cannot create, with one line in
the log, and an agent with an unknown name runs without any. Nor does it exit when its source gives up. So health is
what the metrics page shows: every component of the rendered configuration, and no failed read.

The process runs in the folder of its files and in its own session, so that Ctrl-C at a terminal reaches the launcher
only, which then stops the pipeline in order. It holds the reading end of a pipe that nobody writes to: when the
launcher dies, however it dies, the pipe ends and the agent stops.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self, cast

from flume.agent.folder_lock import lock_folders, unlock
from flume.agent.metrics import AgentMetrics, read_metrics, spooling_source_died, spooling_source_failures
from flume.agent.output_log import OutputReader, RotatingLog
from flume.agent.recovery import LineRules, advance_tracker
from flume.agent.spool_id import spool_id
from flume.config.render import CONFIGURATION, JVM_OPTIONS, Rendered
from flume.errors import AgentEnded, AgentError, AgentNotReady, MetricsError, RecoveryError, SourceDied
from flume.jars.java import find_java
from headrace.common.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import BinaryIO

LOG_FILE = "agent.log"
_MAIN_CLASS = "org.apache.flume.node.Application"
_POLL_S = 0.1
_LOCK_TIMEOUT_S = 20.0
_OUTPUT_END_S = 5.0
_LISTING_PATIENCE_S = 30.0
_LISTING_FAILURES = 5
"""So many failures in that time, and no event read: a renamed file does not explain that."""


class Agent:
    """One agent process, which can be started once. As a context manager it stops the process.

    Args:
        rendered: its files, from :func:`flume.config.render.render_agent`.
        jars: the class path, from :func:`flume.jars.cache.ensure_jars`.
        java: the Java launcher; searched for if None.
        output: called with each line of its output, on another thread. If None, ``agent.log`` in its folder gets the
            lines and takes at most two times ``MAX_LOG_BYTES`` of :mod:`.output_log`.
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
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.rendered = rendered
        self._jars = list(jars)
        self._java = java
        self._output = output
        self._clock = clock
        self._sleep = sleep
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: OutputReader | None = None
        self._log: RotatingLog | None = None
        self._stopping = False
        self._listing = (clock(), 0, 0)

    @property
    def pid(self) -> int:
        """The process id.

        Raises:
            AgentError: the process was not started.
        """
        return self._started().pid

    @property
    def returncode(self) -> int | None:
        """The exit code; None while the process runs and before its start."""
        return self._process.poll() if self._process else None

    @property
    def metrics_url(self) -> str | None:
        """The address of the metrics page; None until it is served."""
        try:
            port = int(self.rendered.port_file.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None
        host = self.rendered.values.metrics.host
        return f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}/metrics"  # noqa: S104 - compared, not bound

    def errors(self) -> tuple[str, ...]:
        """Return the last error lines of its log, oldest first, bounded and without control characters."""
        return self._reader.errors() if self._reader else ()

    def start(self) -> None:
        """Start the process and return at once; :meth:`wait_ready` waits until it works.

        An agent that still uses the spool or channel folder, but is stopping since its launcher died, is waited for.

        Raises:
            AgentError: the process was started before, Java cannot be run, another agent uses one of the folders, or
                the spool folder's id is damaged.
            JavaMissing: no usable Java.
        """
        if self._process is not None:
            raise AgentError("an Agent starts one process only: make another Agent")
        java = self._java or find_java()
        # All other options are in files, because every user can read a command line, and one holds a password.
        command = [str(java), f"@{JVM_OPTIONS}", "-Dflume.monitoring.watchStdin=true"]
        command += ["-cp", os.pathsep.join(map(str, self._jars)), _MAIN_CLASS]
        # The configuration is rendered once for each process. Flume would otherwise look for changes of it all the
        # time.
        command += ["-n", self.rendered.values.agent.name, "-f", CONFIGURATION, "--no-reload-conf"]
        locks = lock_folders(self._folders(), _LOCK_TIMEOUT_S, self._clock, self._sleep)
        try:
            self._launch(command, locks)
        finally:
            # The child has inherited them, if it was started.
            unlock(locks)

    def _folders(self) -> list[Path]:
        values = self.rendered.values
        folders = [values.spool.folder, *([values.channel.folder] if values.channel.type == "file" else [])]
        return [Path(folder) for folder in folders]

    def _launch(self, command: list[str], locks: Sequence[int]) -> None:
        # The port of an earlier process may belong to another program by now.
        self.rendered.port_file.unlink(missing_ok=True)
        if self._output is None:
            self._log = RotatingLog(self.rendered.folder / LOG_FILE)
        sink = self._output or cast("RotatingLog", self._log).write
        try:
            # Only now: the folders are locked, so that no agent changes them, and this agent has not started yet.
            self._prepare(sink)
        except AgentError:
            self._close_log()
            raise
        try:
            self._process = subprocess.Popen(
                command,
                cwd=self.rendered.folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=locks,
            )
        except OSError as error:
            self._close_log()
            raise AgentError(f"{command[0]}: cannot be started: {error.strerror}") from error
        self._reader = OutputReader(cast("BinaryIO", self._process.stdout), sink)

    def _prepare(self, say: Callable[[bytes], None]) -> None:
        """Make the spool folder's id for blocks; for lines repair the tracker of a killed agent."""
        if self.rendered.values.spool.deserializer == "blocks":
            # A block that is sent twice has the same place both times, so the tracker may be behind.
            spool_id(Path(self.rendered.values.spool.folder))
        else:
            self._recover(say)

    def _recover(self, say: Callable[[bytes], None]) -> None:
        """Advance the tracker past a batch that a killed agent has put into the file channel."""
        values = self.rendered.values
        if values.channel.type != "file":
            return
        rules = LineRules(values.spool.charset, values.spool.max_line_chars)
        try:
            advanced = advance_tracker(Path(values.spool.folder), Path(values.channel.folder), rules)
        except RecoveryError as error:
            said = f"WARN  recovery: {error}; if the last agent was killed, one batch may be sent twice"
        else:
            if advanced is None:
                return
            said = f"INFO  recovery: the last agent was killed before its tracker recorded {advanced.lines} lines that "
            said += f"are in the channel; reading {advanced.file} from byte {advanced.offset}"
        say(f"{printable(said)}\n".encode())

    def wait_ready(self, timeout_s: float = 60.0) -> AgentMetrics:
        """Wait until the metrics page shows every component of the configuration, and every channel is open.

        Raises:
            AgentNotReady: not within ``timeout_s``; the text names what is missing and quotes the log's errors.
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
                    f"after {timeout_s:g} s the agent's metrics page does not show {', '.join(missing)}"
                    + self._quoted(),
                    missing,
                )
            self._sleep(_POLL_S)

    def poll(self) -> AgentMetrics | None:
        """Check the agent's health; return its metrics, or None if the page did not answer this time.

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
                f"the spooling source of {folder} has given up on a file and reads no other one until the agent is "
                "restarted; move that file out of the folder first" + self._quoted()
            )
        if metrics is not None and self._is_listing_stuck(metrics):
            raise SourceDied(
                f"the spooling source cannot list {folder} and reads nothing; make everything in the folder readable "
                "for the agent's user" + self._quoted()
            )
        return metrics

    def stop(self, timeout_s: float = 20.0) -> int | None:
        """Stop the agent with SIGTERM, after ``timeout_s`` with SIGKILL; return its exit code (None: never started).

        On SIGTERM the source completes its batch, the sink its request, and the file channel writes a checkpoint. The
        content of a memory channel is lost. May be called again, and after the process has ended.
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
            # The last lines, which say why it ended, may still be in the pipe.
            if self._reader is not None:
                self._reader.join(_OUTPUT_END_S)
            how = f"was killed by signal {-code}" if code < 0 else f"has ended with exit code {code}"
            raise AgentEnded(f"the agent {how}{'' if self._stopping else ' by itself'}{self._quoted()}")

    def _read(self) -> AgentMetrics | None:
        url = self.metrics_url
        if url is None:
            return None
        try:
            return read_metrics(url)
        except MetricsError:
            # A busy Java misses an answer now and then. An agent that has died shows in its exit code.
            return None

    def _has_source_died(self, metrics: AgentMetrics | None) -> bool:
        if self._reader is not None and self._reader.source_gave_up:
            return True
        if metrics is None or not spooling_source_died(metrics):
            return False
        # Flume logs the error, which names the file, before it counts it; our reader may be a little behind.
        deadline_s = self._clock() + _OUTPUT_END_S
        while self._reader is not None and not self._reader.source_gave_up and self._clock() < deadline_s:
            self._sleep(_POLL_S)
        return True

    def _is_listing_stuck(self, metrics: AgentMetrics) -> bool:
        since_s, failures, read = self._listing
        if self._clock() - since_s < _LISTING_PATIENCE_S:
            return False
        self._listing = (self._clock(), spooling_source_failures(metrics), metrics.events_read)
        return self._listing[1] - failures >= _LISTING_FAILURES and self._listing[2] == read

    def _quoted(self) -> str:
        errors = self.errors()
        where = f"; its log is {self.rendered.folder / LOG_FILE}" if self._output is None else ""
        return (". Its last errors:\n  " + "\n  ".join(errors[-6:]) if errors else "") + where

    def _close_log(self) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None
