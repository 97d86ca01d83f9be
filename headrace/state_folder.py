"""The state folder: everything that a run keeps on disk, and the record of the running stages.

::

    <state>/
      lock          locked (flock) by the run; holds its process id, for people
      run.json      the stages of the current or last run: ports, process ids, restarts; always replaced whole
      spool/        files that were handed over and that the agent has not read; dot-names are still being written
      agent/        the agent's configuration, its position in the spool folder, the file channel
      bridge/       the bridge's configuration and its durable log
      job/          Spark's checkpoint, the results table, dead letters, progress.json
      logs/         the logs of the stages, one bounded file each

A later start needs nothing outside of this folder. It does not need ``run.json``: that file is for ``status``, ``drop``
and ``stop``, which run in other processes.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.common.files import PRIVATE_MODE, replace_file, try_lock
from headrace.errors import StateLocked, StateUnusable

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMAT_VERSION = 1
DEFAULT_STATE = Path("state")

STAGES = ("agent", "bridge", "job")
"""The stages in the order of the data."""


@dataclass
class StageRecord:
    """One stage in ``run.json``.

    Attributes:
        state: waiting, starting, ready, restarting, stopping, stopped or refused.
        pid: its process id.
        restarts: how often it was restarted in this run.
        ports: purpose (avro, flight, admin, metrics) to port on this machine.
        last_fault: why it failed last. The name is part of the file format.
    """

    state: str = "waiting"
    pid: int | None = None
    restarts: int = 0
    ports: dict[str, int] = field(default_factory=dict)
    last_fault: str = ""


@dataclass
class RunRecord:
    """The content of ``run.json``. Times are ISO 8601 in UTC.

    Attributes:
        stopped: when all stages had been stopped in order; empty while the run goes on, and after it was killed.
        job: the name of the job; empty if an older version wrote the file.
        uncounted: at the stop, the lines that channel and bridge kept for the next start; None: not known.
        lost: at the stop, the lines that were in a memory channel.
        failed: the stages that did not work when the run was stopped.
    """

    run_id: str
    pid: int
    started: str
    spool: str
    version: int = FORMAT_VERSION
    stopped: str = ""
    job: str = ""
    uncounted: int | None = None
    lost: int = 0
    failed: list[str] = field(default_factory=list)
    stages: dict[str, StageRecord] = field(default_factory=lambda: {name: StageRecord() for name in STAGES})


class StateFolder:
    """The files in one state folder. The constructor touches nothing on disk."""

    def __init__(self, root: Path, spool: Path | None = None) -> None:
        # Resolved, because processes of a run are found by the name of its folder: one folder must have one name.
        self.root = root.resolve()
        self._spool = spool.resolve() if spool is not None else None

    @property
    def spool(self) -> Path:
        """The spool folder: the one given, else that of the recorded run, else ``<state>/spool``."""
        if self._spool is not None:
            return self._spool
        record = self.read_run()
        return Path(record.spool) if record else self.root / "spool"

    @property
    def agent(self) -> Path:
        """The agent's folder."""
        return self.root / "agent"

    @property
    def bridge(self) -> Path:
        """The bridge's folder."""
        return self.root / "bridge"

    @property
    def job(self) -> Path:
        """The Spark job's folder."""
        return self.root / "job"

    @property
    def logs(self) -> Path:
        """The folder for the logs of the stages."""
        return self.root / "logs"

    def log_of(self, stage: str) -> Path:
        """The log file of one stage."""
        return self.logs / f"{stage}.log"

    def create(self, *, must_be_new: bool = False) -> None:
        """Create the folders that are missing.

        Raises:
            StateUnusable: a folder cannot be created or written; or ``must_be_new`` and the folder is not empty.
        """
        if must_be_new and self.root.is_dir() and any(self.root.iterdir()):
            message = f"{self.root} is not empty, and --once needs a fresh state folder: name another one with --state"
            raise StateUnusable(message)
        for folder in (self.root, self.spool, self.agent, self.bridge, self.job, self.logs):
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                message = f"cannot create the folder {folder}: {error.strerror}; choose another one"
                raise StateUnusable(message) from error
            if not os.access(folder, os.W_OK | os.X_OK):
                raise StateUnusable(f"cannot write into {folder}: give this user write access or choose another one")

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the lock of the folder during the block. The kernel frees it when the process dies, however it dies.

        Raises:
            StateLocked: another process holds it.
        """
        # Not "w": whoever does not get the lock must still find the holder's number in the file.
        with (self.root / "lock").open("a+") as lock_file:
            if not try_lock(lock_file):
                lock_file.seek(0)
                holder = lock_file.read(32).strip() or "unknown"
                message = f"{self.root} is in use by process {holder}: stop that run first, or name another --state"
                raise StateLocked(message)
            lock_file.truncate(0)
            lock_file.write(str(os.getpid()))
            lock_file.flush()
            yield

    def is_locked(self) -> bool:
        """Whether a run holds the folder now."""
        try:
            with (self.root / "lock").open("r+") as lock_file:
                return not try_lock(lock_file)
        except (FileNotFoundError, NotADirectoryError):
            return False

    def write_run(self, record: RunRecord) -> None:
        """Replace ``run.json``; a reader sees the old content or the new one, never a part."""
        replace_file(self.root / "run.json", json.dumps(asdict(record), indent=2).encode(), mode=PRIVATE_MODE)

    def read_run(self) -> RunRecord | None:
        """Return the record of the current or last run; None if there is none.

        Raises:
            StateUnusable: the file cannot be read, or a newer version has written it.
        """
        path = self.root / "run.json"
        try:
            fields: dict[str, Any] = json.loads(path.read_bytes())
            if fields["version"] > FORMAT_VERSION:
                raise StateUnusable(f"{path} was written by a newer version of Headrace: use that version")
            stages = {name: StageRecord(**stage) for name, stage in fields.pop("stages").items()}
            return RunRecord(**fields, stages=stages)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise StateUnusable(f"{path} cannot be read ({error}): move it away; no data is in it") from error
