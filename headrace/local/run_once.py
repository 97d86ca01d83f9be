"""``run --once``: files through the whole real pipeline, and the proof that every line came out.

The end is found by conditions, each of which holds for good once it holds::

    the spool folder is empty  ->  every line is in the agent's channel
    the channel is empty, sent >= read  ->  every line is acknowledged
    so the bridge's next offset is final  ->  the job is told to count up to there, and ends by itself

Then the lines that were in the files are compared with the events that the bridge stored, and the lines that the job
read with those that it counted, found malformed or late.
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
from headrace.local.pipeline import Pipeline, is_shipped, started
from headrace.local.run import Signals, caught_signals, fetched_jars
from headrace.local.run_options import URL_COUNTS
from headrace.local.stage_output import read_json
from headrace.messages import say
from headrace.state_folder import StateFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from headrace.local.run_options import RunOptions

STILL_STEPS = 300
"""Looks (a tenth of a second apart) at a bridge that lacks lines after the agent has shipped all, before that is final:
only an agent that was restarted can say so early."""


@dataclass(frozen=True)
class Outcome:
    """What went in and what came out."""

    lines: int
    stored: int
    read: int
    counted: int
    malformed: int
    late: int
    hits: int

    @property
    def holds(self) -> bool:
        """Whether every line in the files is accounted for, once."""
        return self.lines == self.stored == self.read == self.counted + self.malformed + self.late

    def __str__(self) -> str:
        sign = "=" if self.read == self.counted + self.malformed + self.late else "\N{NOT EQUAL TO}"
        parts = f"counted {self.counted:,} + malformed {self.malformed:,} + late {self.late:,}"
        return f"lines read {self.read:,} {sign} {parts}"


class Watcher(Protocol):
    """Shown how far the lines are."""

    def total(self, lines: int) -> None:
        """Take note of how many lines there are."""

    def moved(self, stored: int, counted: int) -> None:
        """Take note of how many lines are stored at the bridge, and how many of these the job has read."""


def run_once(
    files: Sequence[Path],
    options: RunOptions,
    root: Path | None,
    watching: Callable[[Callable[[str], None]], AbstractContextManager[Watcher]],
) -> None:
    """Count ``files`` and print the sum to standard output.

    Without ``root`` the state folder is a temporary one, which is removed when all went well. ``watching`` is given
    what tells people things and opens a watcher.

    Raises:
        UsageError: a file cannot be used; nothing was started.
        StateUnusable: ``root`` is not empty.
        SumBroken: a line is not accounted for.
        Interrupted: Ctrl-C or SIGTERM came first.
    """
    if options.job != URL_COUNTS:
        # Counts in windows can be drained to their end; other results are final only when the whole range is known.
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
                # What is left to do is done, or has failed: nothing waits any more.
                pipeline.stop(lambda: True)
    # To standard output: it is the command's result.
    print(outcome)  # noqa: T201
    if not outcome.holds:
        raise SumBroken(
            f"the sum does not hold: {outcome.lines:,} lines in the files, {outcome.stored:,} events stored, "
            f"{outcome.read:,} read, {outcome.counted + outcome.malformed + outcome.late:,} accounted for"
        )


def _count(pipeline: Pipeline, dropped: Sequence[Dropped], watcher: Watcher, signals: Signals) -> Outcome:
    lines = sum(each.lines for each in dropped)
    progress_file = pipeline.state.job / "progress.json"

    def look() -> int | None:
        """Step, show, and return the events stored, None while the bridge does not answer."""
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
        raise StageTimeout(f"the job ended without its sum; {pipeline.state.log_of('job')} says why")
    return Outcome(
        lines=lines,
        stored=stored,
        read=tally["read"],
        counted=tally["counted"],
        malformed=tally["malformed"],
        late=tally["late"],
        hits=tally["hits"],
    )


def _ship(pipeline: Pipeline, lines: int, look: Callable[[], int | None]) -> int:
    """Wait until everything is at the bridge; return how many events it has stored."""
    still = 0
    newest = -1
    while True:
        stored = look()
        if stored is None or not is_shipped(pipeline.agent_status()):
            still = 0
            continue
        # Asked again: the answer above may be older than the last batch.
        stored = pipeline.bridge_status().next_offset
        if stored is None:
            continue
        still = still + 1 if stored == newest else 0
        newest = stored
        if stored >= lines or still >= STILL_STEPS:
            return stored


@contextmanager
def _fresh_folder(root: Path | None) -> Iterator[StateFolder]:
    """Give a new state folder; one that nobody named is removed again unless something in it tells what went wrong."""
    folder = root if root is not None else Path(tempfile.mkdtemp(prefix="headrace-once-"))
    state = StateFolder(folder)
    state.create(must_be_new=True)
    try:
        yield state
    except StageRefused:
        # Nothing has been computed that could be worth keeping.
        if root is None:
            shutil.rmtree(folder)
        raise
    except BaseException:
        if any(state.logs.iterdir()):
            say(f"everything that was counted is kept in {state.root}, the stages' logs in {state.logs}")
        elif root is None:
            shutil.rmtree(folder)
        raise
    if root is None:
        shutil.rmtree(folder)
