"""The running pipeline: three supervised stages. The bridge starts first, then the agent and the job.

The stages stop in the order of the data, so that lines on their way arrive before the next stage stops::

    agent     memory channel: wait until the spool folder and the channel are empty, then stop
              file channel:   stop; the lines in the channel are on disk, and the next start sends them
    job       gets the bridge's last offset; it ends by itself when it has counted up to there
    bridge    stops last, because the job reads from it and commits to it

Each wait has a bound, and a second Ctrl-C ends all waits. No acknowledged line depends on this order. It only spares
the next start some work, and it saves the lines in a memory channel.
"""

from __future__ import annotations

import os
import time
import uuid
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Any

from headrace.common.text import iso_utc
from headrace.errors import StageError, UsageError
from headrace.local.orphan_guard import RUN_VARIABLE, STATE_VARIABLE, Guard, end_processes
from headrace.local.stage_output import read_json
from headrace.local.stages import AGENT_GRACE_S, JOB_GRACE_S, AgentStage, BridgeStage, JobStage
from headrace.local.supervisor import Slot, Supervisor
from headrace.state_folder import RunRecord, StageRecord, StateFolder
from headrace.status import COMPLETED_SUFFIX, AgentStatus, BridgeStatus, bridge_status, waiting_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from threading import Event

    from headrace.local.run_options import RunOptions

STEP_S = 0.1
DRAIN_S = 60.0


class Pipeline:
    """One run over one state folder, which the caller has locked. Created by :func:`started`.

    Args:
        state: the state folder.
        options: what runs.
        jars: the agent's class path.
        say: gets the messages for the user.
        wake: an event that is set when the run should end.
        stdout: where the job's tables go; None for our own standard output.
    """

    def __init__(
        self,
        state: StateFolder,
        options: RunOptions,
        jars: Sequence[Path],
        say: Callable[[str], None],
        *,
        wake: Event,
        stdout: int | IO[bytes] | None = None,
    ) -> None:
        self.state = state
        self._options = options
        self._say = say
        self._wake = wake
        environment = dict(os.environ)
        self.bridge = BridgeStage(state, environment)
        self.agent = AgentStage(state, options.channel, self.bridge, jars)
        self.job = JobStage(state, options, self.bridge, environment, stdout)
        slots = [Slot(self.bridge), Slot(self.agent, ("bridge",)), Slot(self.job, ("bridge",))]
        self.supervisor = Supervisor(slots, time.monotonic, say, self.record)
        self._run = RunRecord(
            run_id=environment[RUN_VARIABLE],
            pid=os.getpid(),
            started=iso_utc(datetime.now(UTC).replace(microsecond=0)),
            spool=str(state.spool),
            job=options.job,
        )

    def record(self) -> None:
        """Write process ids, ports and states of the stages to ``run.json``, for commands in other processes."""
        stages: tuple[AgentStage | BridgeStage | JobStage, ...] = (self.agent, self.bridge, self.job)
        for stage in stages:
            slot = self.supervisor.slots[stage.name]
            self._run.stages[stage.name] = StageRecord(
                slot.state, stage.pid, slot.restarts, dict(stage.ports), slot.last_failure
            )
        self.state.write_run(self._run)

    def step(self, only: Sequence[str] | None = None) -> None:
        """Let the supervisor look at the stages once, then pause; ``wake`` ends the pause at once.

        Raises:
            StageRefused: a stage's configuration cannot be used.
            StageFailed: a stage cannot go on, however often it is started.
        """
        self.supervisor.step(only)
        self._wake.wait(STEP_S)

    def agent_status(self) -> AgentStatus:
        """Return the status of the spool folder and the agent, read in this order.

        The order matters: when no file waits, the agent reads nothing more, so counters taken afterwards are final.
        """
        sizes = [size for _, size in waiting_files(self.state.spool)]
        metrics = self.agent.read_metrics()
        if metrics is None:
            return AgentStatus(up=False, spool_files=len(sizes), spool_bytes=sum(sizes))
        return AgentStatus(
            up=True,
            spool_files=len(sizes),
            spool_bytes=sum(sizes),
            read=metrics.events_read,
            channel=metrics.events_waiting,
            sent=metrics.events_sent,
        )

    def bridge_status(self) -> BridgeStatus:
        """Return the status of the bridge."""
        return bridge_status(self.bridge.ports.get("admin"))

    def remove_completed(self) -> int:
        """Delete the files that the agent has finished, if all their lines are acknowledged; return how many."""
        completed = list(self.state.spool.glob(f"*{COMPLETED_SUFFIX}"))
        if not completed or not is_shipped(self.agent_status(), waiting_allowed=True):
            return 0
        for path in completed:
            path.unlink(missing_ok=True)
        return len(completed)

    def stop(self, hurried: Callable[[], bool]) -> None:
        """Stop the stages in the order of the data; without waiting once ``hurried`` returns True."""
        # Still set by the signal that led here: without this, no pause of the waits below would last.
        self._wake.clear()
        slots = self.supervisor.slots
        self._run.failed = [name for name, slot in slots.items() if slot.state in ("restarting", "refused")]
        in_channel = self._stop_agent(hurried)
        if self._options.channel == "memory":
            self._run.lost, in_channel = in_channel or 0, 0
        self._stop_job(hurried)
        self._run.uncounted = uncounted(in_channel, self.bridge_status(), read_json(self.state.job / "progress.json"))
        self.supervisor.release("bridge")
        self.bridge.stop()
        self._run.stopped = iso_utc(datetime.now(UTC).replace(microsecond=0))
        self.record()

    def _stop_agent(self, hurried: Callable[[], bool]) -> int | None:
        """Stop the agent; return how many lines its channel held, None if the agent did not answer."""
        slots = self.supervisor.slots
        both_work = slots["agent"].state == slots["bridge"].state == "ready"
        # A file channel keeps its content on disk, and the next start ships it; only a memory channel has to be
        # emptied.
        if self._options.channel == "memory" and both_work and not hurried():
            self._say("stopping: the agent sends what it has read")
            shipped = self._wait(lambda: is_shipped(self.agent_status()), ("agent", "bridge", "job"), hurried)
            if not shipped:
                self._say("the agent stops before its memory channel is empty: lines in it are lost")
        in_channel = self.agent_status().channel
        self.supervisor.release("agent")
        self.agent.stop(0 if hurried() else AGENT_GRACE_S)
        return in_channel

    def _stop_job(self, hurried: Callable[[], bool]) -> None:
        """Wait until the job has counted all stored lines, then stop it."""
        slots = self.supervisor.slots
        end = self.bridge_status().next_offset
        if slots["job"].state == slots["bridge"].state == "ready" and end is not None and not hurried():
            self._say("stopping: the job counts the stored lines")
            self.job.drain_to({self.bridge.log_id: end})
            # The job is not supervised meanwhile: if it ends, for whatever reason, the wait ends and it is not started
            # again.
            self._wait(lambda: self.job.exit_code() is not None or self._job_is_done(), ("bridge",), hurried)
        self.supervisor.release("job")
        self.job.stop(0 if hurried() else JOB_GRACE_S)

    def _job_is_done(self) -> bool:
        """Whether the job itself sees nothing more to count."""
        progress = read_json(self.state.job / "progress.json") or {}
        return progress.get("state") == "draining" and progress.get("waiting") == 0

    def _wait(self, done: Callable[[], bool], only: Sequence[str], hurried: Callable[[], bool]) -> bool:
        """Supervise the stages named until ``done``; return False if the user hurries or the time is over."""
        deadline = time.monotonic() + DRAIN_S
        while not done():
            if hurried() or time.monotonic() > deadline:
                return False
            try:
                self.step(only)
            except StageError as refused:
                self._say(str(refused))
                return False
        return True


def is_shipped(agent: AgentStatus, *, waiting_allowed: bool = False) -> bool:
    """Whether all lines that the agent has read are acknowledged and, unless ``waiting_allowed``, no file waits.

    A restarted agent may have sent more than it has read since: lines that the file channel had kept.
    """
    if agent.read is None or agent.sent is None:
        return False
    return (waiting_allowed or agent.spool_files == 0) and agent.channel == 0 and agent.sent >= agent.read


def uncounted(in_channel: int | None, bridge: BridgeStatus, progress: dict[str, Any] | None) -> int | None:
    """Return how many lines channel and bridge keep that the job has not counted; None if one of them did not say."""
    if in_channel is None or bridge.next_offset is None:
        return None
    if bridge.next_offset == 0:
        return in_channel
    # A job that has failed leaves no positions.
    position = ((progress or {}).get("positions") or {}).get(bridge.log_id)
    return None if position is None else in_channel + bridge.next_offset - position


@contextmanager
def started(
    state: StateFolder,
    options: RunOptions,
    jars: Sequence[Path],
    say: Callable[[str], None],
    *,
    wake: Event,
    stdout: int | IO[bytes] | None = None,
) -> Iterator[Pipeline]:
    """Prepare a run in a locked state folder. However the block ends, no process is left behind.

    Raises:
        UsageError: the folder holds events that the chosen channel would not ship.
    """
    if options.channel == "memory" and (state.agent / "channel").exists():
        raise UsageError(
            f"--channel memory: {state.agent / 'channel'} may hold lines of an earlier run with the file channel; "
            "go on with --channel file, or take a new --state folder"
        )
    left = end_processes(lambda environment: environment.get(STATE_VARIABLE) == str(state.root))
    if left:
        say(f"ended {len(left)} processes that an earlier run of this folder left behind")
    run_id = uuid.uuid4().hex
    with _marked({RUN_VARIABLE: run_id, STATE_VARIABLE: str(state.root)}):
        guard = Guard(run_id, os.environ)
        try:
            yield Pipeline(state, options, jars, say, wake=wake, stdout=stdout)
        finally:
            # After an error the stages were not stopped in order; this ends what is left.
            end_processes(lambda environment: environment.get(RUN_VARIABLE) == run_id)
            guard.dismiss()


@contextmanager
def _marked(variables: dict[str, str]) -> Iterator[None]:
    """Set environment variables, which every process that is started in the block inherits."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
