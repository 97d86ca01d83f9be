"""``run --once``: sends files through the whole pipeline and checks that every line came out.

The end is found by conditions. Each of them stays true once it is true::

    the spool folder is empty  ->  every line is in the agent's channel
    the channel is empty, sent >= read  ->  every line is acknowledged
    so the bridge's next offset is final  ->  the job is told to count up to there, and ends by itself

Then two sums are checked: the lines in the files against the events that the bridge stored, and the lines that the job
read against those that it counted or found malformed, late or too old.
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from headrace.drop import Dropped, check_sources, drop
from headrace.errors import Interrupted, StageRefused, StageTimeout, SumBroken
from headrace.job_status import URL_COUNTS
from headrace.local.pipeline import Pipeline, is_shipped, started
from headrace.local.run import Signals, caught_signals, fetched_jars
from headrace.local.stage_output import read_json
from headrace.messages import say
from headrace.state_folder import StateFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from headrace.local.run_options import RunOptions

STILL_STEPS = 300
"""How often the bridge must lack lines, at looks a tenth of a second apart, before the run gives up on them.

The agent says by then that it has sent everything. Only a restarted agent may say so too early."""


@dataclass(frozen=True)
class OnceOutcome:
    """What went into the pipeline and what came out.

    ``late`` is None for a job without a watermark, ``too_old`` for one whose windows retention does not close.
    """

    lines: int
    stored: int
    read: int
    counted: int
    malformed: int
    late: int | None
    hits: int
    too_old: int | None = None

    @property
    def holds(self) -> bool:
        """Whether every line in the files is accounted for exactly once."""
        return self.lines == self.stored == self.read == self.accounted_for

    @property
    def accounted_for(self) -> int:
        """The lines that are in one of the terms."""
        return self.counted + self.malformed + (self.late or 0) + (self.too_old or 0)

    def __str__(self) -> str:
        sign = "=" if self.read == self.accounted_for else "\N{NOT EQUAL TO}"
        terms = (("late", self.late), ("too old", self.too_old))
        rest = "".join(f" + {name} {lines:,}" for name, lines in terms if lines is not None)
        return f"lines read {self.read:,} {sign} counted {self.counted:,} + malformed {self.malformed:,}{rest}"


class Watcher(Protocol):
    """Shows the progress of the lines."""

    def total(self, lines: int) -> None:
        """Set the number of lines."""

    def moved(self, stored: int, counted: int) -> None:
        """Set how many lines the bridge has stored, and how many of these the job has read."""


def run_once(
    files: Sequence[Path],
    options: RunOptions,
    root: Path | None,
    watching: Callable[[Callable[[str], None]], AbstractContextManager[Watcher]],
) -> None:
    """Count ``files`` and print the sum to standard output.

    Args:
        files: the files to read.
        options: the job and its options.
        root: the state folder; None for a temporary one, which is removed when the run succeeds.
        watching: opens a watcher; gets the function for messages.

    Raises:
        UsageError: a file cannot be used; nothing was started.
        StateUnusable: ``root`` is not empty.
        SumBroken: a line is not accounted for.
        Interrupted: Ctrl-C or SIGTERM came first.
    """
    if options.job != URL_COUNTS:
        # The URL counts can be drained while the query runs. Results of other jobs are final only if the query knows
        # the whole range in advance.
        options = options.with_settings(bounded=True)
    check_sources(files)
    jars = fetched_jars()
    with _fresh_folder(root) as state, state.lock(), watching(say) as watcher:
        dropped = drop(files, state.spool)
        for each in dropped:
            if each.target is None:
                say(f"{each.source} is empty: skipped")
        watcher.total(sum(each.lines for each in dropped))
        with caught_signals() as signals, started(state, options, jars, say, wake=signals.wake) as pipeline:
            try:
                outcome = _count(pipeline, dropped, watcher, signals)
            finally:
                # Everything is counted, or the run has failed: in both cases nothing is worth waiting for.
                pipeline.stop(lambda: True)
    # To standard output: it is the command's result.
    print(outcome)  # noqa: T201
    if not outcome.holds:
        raise SumBroken(
            f"the sum does not hold: {outcome.lines:,} lines in the files, {outcome.stored:,} events stored, "
            f"{outcome.read:,} read, {outcome.accounted_for:,} accounted for"
        )


def _count(pipeline: Pipeline, dropped: Sequence[Dropped], watcher: Watcher, signals: Signals) -> OnceOutcome:
    lines = sum(each.lines for each in dropped)
    progress_file = pipeline.state.job / "progress.json"

    def look() -> int | None:
        """Let the stages step, update the watcher; return the number of stored events, None without an answer."""
        if signals.stop_asked:
            raise Interrupted("interrupted before every line was counted")
        pipeline.step()
        stored = pipeline.bridge_status().next_offset
        tally = (read_json(progress_file) or {}).get("tally") or {}
        watcher.moved(stored or 0, tally.get("read", 0))
        return stored

    stored = _ship(pipeline, lines, look)
    pipeline.job.drain_to({pipeline.bridge.log_id: stored})
    while not pipeline.job.finished:
        look()
    pipeline.supervisor.release("job")
    tally = read_json(pipeline.state.job / "tally.json")
    if tally is None:
        raise StageTimeout(f"the job ended and left no tally; {pipeline.state.log_of('job')} says why")
    return OnceOutcome(
        lines=lines,
        stored=stored,
        read=tally["read"],
        counted=tally["counted"],
        malformed=tally["malformed"],
        late=tally["late"],
        hits=tally["hits"],
        too_old=tally["too_old"],
    )


def _ship(pipeline: Pipeline, lines: int, look: Callable[[], int | None]) -> int:
    """Wait until every line has reached the bridge; return how many events it has stored."""
    still = 0
    newest = -1
    while True:
        stored = look()
        if stored is None or not is_shipped(pipeline.agent_status()):
            still = 0
            continue
        # Ask again: the answer above may be older than the last batch.
        stored = pipeline.bridge_status().next_offset
        if stored is None:
            continue
        still = still + 1 if stored == newest else 0
        newest = stored
        if stored >= lines or still >= STILL_STEPS:
            return stored


@contextmanager
def _fresh_folder(root: Path | None) -> Iterator[StateFolder]:
    """Yield a new state folder. A temporary one is removed, unless it has logs that tell what went wrong."""
    folder = root if root is not None else Path(tempfile.mkdtemp(prefix="headrace-once-"))
    state = StateFolder(folder)
    state.create(must_be_new=True)
    try:
        yield state
    except StageRefused:
        # Nothing was computed, so nothing is worth keeping.
        if root is None:
            shutil.rmtree(folder)
        raise
    except BaseException:
        if any(state.logs.iterdir()):
            say(f"the counts so far are kept in {state.root}, the logs of the stages in {state.logs}")
        elif root is None:
            shutil.rmtree(folder)
        raise
    if root is None:
        shutil.rmtree(folder)
