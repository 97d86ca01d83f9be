"""Output of the commands: tables and progress bars on a terminal, plain lines and JSON elsewhere.

Data goes to standard output, everything else to standard error. Rich leaves out colours when NO_COLOR is set or the
output is not a terminal.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from headrace.common.text import binary_size, printable
from headrace.drop import drop
from headrace.sample import SampleSettings, sample_lines
from headrace.status import Snapshot, Sum, take_snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from headrace.doctor import Finding
    from headrace.local.run_once import Watcher
    from headrace.state_folder import StateFolder
    from spark_job.jobs.catalog import Entry

MARKS = {"ok": ("ok", "green"), "warning": ("warning", "yellow"), "fault": ("FAULT", "red")}


def drop_with_progress(files: Sequence[Path], spool: Path) -> None:
    """Hand files over and print one line for each.

    Raises:
        HeadraceError: see :func:`headrace.drop.drop`.
    """
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        total = sum(path.stat().st_size for path in files if path.is_file())
        task = bars.add_task("copying", total=total)

        def advance(source: Path, read_bytes: int) -> None:
            bars.update(task, advance=read_bytes, description=printable(source.name, 40))

        dropped = drop(files, spool, advance)
    for each in dropped:
        _print(each.outcome)


def write_sample(settings: SampleSettings, out: Path | None) -> None:
    """Write a sample to a file or to standard output."""
    if out is None:
        try:
            sys.stdout.buffer.writelines(sample_lines(settings))
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            # The reader has closed the pipe, as in `headrace sample | head`. Python flushes its buffer at exit and
            # would report the closed pipe again, so the buffer goes to the null device.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    with out.open("wb") as file:
        file.writelines(sample_lines(settings))


def show_jobs(jobs: Iterable[Entry]) -> None:
    """Print the table of jobs."""
    table = Table(box=None, pad_edge=False)
    for heading in ("job", "API", "what it computes", "what it shows"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "job")
    for job in jobs:
        table.add_row(job.name, job.api, job.summary, Text(job.shows, "dim"))
    Console().print(table)


def show_findings(findings: Iterable[Finding], *, as_json: bool) -> int:
    """Print the findings of the checks of this machine; return the exit code."""
    found = list(findings)
    if as_json:
        _print(json.dumps([asdict(finding) for finding in found], indent=2))
    else:
        table = Table(box=None, pad_edge=False)
        for heading in ("check", "", "found", "what to do"):
            table.add_column(heading, overflow="fold")
        for finding in found:
            word, colour = MARKS[finding.level]
            table.add_row(finding.name, Text(word, colour), Text(finding.found), Text(finding.advice))
        Console().print(table)
    return 1 if any(finding.level == "fault" for finding in found) else 0


def show_status(state: StateFolder, *, as_json: bool) -> int:
    """Print every stage with its counters, and the sums; return the exit code."""
    return show_snapshot(take_snapshot(state, datetime.now(UTC)), str(state.root), as_json=as_json)


def show_snapshot(snapshot: Snapshot, where: str, *, as_json: bool) -> int:
    """Print the stages of a run and the sums; return the exit code.

    Args:
        snapshot: the stages.
        where: the folder of the run, or another name for it.
        as_json: print one JSON object.
    """
    problems = snapshot.problems()
    if as_json:
        sums = [{**asdict(each), "difference": each.difference} for each in snapshot.sums()]
        _print(json.dumps({"state": where, **asdict(snapshot), "sums": sums, "faults": problems}, indent=2))
        return 1 if problems else 0
    console = Console()
    table = Table(box=None, pad_edge=False, show_header=False)
    for cells in _stage_rows(snapshot):
        table.add_row(*(Text(printable(cell, lines=True)) for cell in cells))
    console.print(table)
    console.print()
    for each in snapshot.sums():
        # After a stop only the job's own sum is known.
        if snapshot.end is None or each.difference is not None:
            console.print(_shown_sum(each))
    if snapshot.end is not None and snapshot.end.stopped:
        console.print(Text(snapshot.end.text(snapshot.agent.spool_files)))
    for problem in problems:
        console.print(Text(printable(problem, lines=True), "red"))
    return 1 if problems else 0


def _stage_rows(snapshot: Snapshot) -> Iterator[tuple[str, str, str]]:
    agent, bridge, job = snapshot.agent, snapshot.bridge, snapshot.job
    yield "spool", f"{agent.spool_files:,} files", f"{binary_size(agent.spool_bytes)} waiting for the agent"
    yield (
        "agent",
        snapshot.state_of("agent"),
        _joined(("read", agent.read), ("in the channel", agent.channel), ("sent", agent.sent)),
    )
    if agent.channel_fill is not None:
        yield "", "", f"channel {agent.channel_fill:.0%} full, {agent.send_failures:,} failed sends since its start"
    stored = (("acknowledged", bridge.acknowledged), ("stored", bridge.stored), ("duplicates", bridge.duplicates))
    yield "bridge", snapshot.state_of("bridge"), _joined(*stored)
    if bridge.next_offset is not None and bridge.used_bytes is not None and bridge.max_bytes is not None:
        room = f"{binary_size(bridge.used_bytes)} of {binary_size(bridge.max_bytes)}"
        yield "", "", f"offsets {bridge.first_offset:,} to {bridge.next_offset:,}, {room}, dropped {bridge.dropped:,}"
        for consumer, waiting in bridge.consumers.items():
            yield "", "", f"{consumer}: {waiting:,} not committed"
    terms = (("read", job.read), ("malformed", job.malformed), *job.not_counted())
    yield "job", snapshot.state_of("job"), _joined(*terms)
    if job.batch_age_s is not None:
        watermark = f", watermark {job.watermark}" if job.watermark else ""
        yield "", "", f"last micro-batch {job.batch_age_s:,.0f} s ago{watermark}"
    if job.error:
        yield "", "", job.error


def _shown_sum(each: Sum) -> Text:
    left, right = each.left, each.right
    difference = each.difference
    sign, mark, colour = "=", "\N{CHECK MARK}", "green"
    if difference is None:
        sign, mark, colour = "=", "?", "yellow"
    elif difference:
        sign, mark, colour = "\N{NOT EQUAL TO}", f"{difference:+,}", "yellow" if each.note else "red"
    parts = " + ".join(f"{name} {_number(number)}" for name, number, _ in right)
    text = Text(f"{mark:>3}  {left[0]} {_number(left[1])} {sign} {parts}", colour)
    derived = [f"{name} is {origin}" for name, _, origin in right if origin.startswith("derived")]
    notes = [*derived, *([each.note] if each.note else [])]
    return text.append(f"\n     {'; '.join(notes)}", "dim") if notes else text


@contextmanager
def once_progress(say: Callable[[str], None]) -> Iterator[Watcher]:
    """Show how many lines are stored and counted: two bars on a terminal, elsewhere one line at the start."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description:>8}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        yield _Bars(bars, say if not console.is_terminal else lambda _: None)


class _Bars:
    def __init__(self, bars: Progress, say: Callable[[str], None]) -> None:
        self._bars = bars
        self._say = say
        self._stored = bars.add_task("stored", total=None)
        self._counted = bars.add_task("counted", total=None)

    def total(self, lines: int) -> None:
        self._say(f"sending {lines:,} lines through agent, bridge and job")
        for task in (self._stored, self._counted):
            self._bars.update(task, total=lines)

    def moved(self, stored: int, counted: int) -> None:
        self._bars.update(self._stored, completed=stored)
        self._bars.update(self._counted, completed=counted)


def _print(text: str) -> None:
    sys.stdout.write(printable(text, max_characters=1 << 24, lines=True) + "\n")


def _joined(*terms: tuple[str, int | None]) -> str:
    if all(number is None for _, number in terms):
        return ""
    return ", ".join(f"{name} {_number(number)}" for name, number in terms)


def _number(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"
