"""What ``run``, ``run --once`` and ``demo`` can be told: read and checked as a whole before any process starts.

The defaults suit a person who watches: windows of a minute would scroll away, windows of an hour would show nothing new.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from headrace.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DEFAULT_WINDOW = "5m"
DEFAULT_WATERMARK = "10m"
DEFAULT_TRIGGER = "1s"
DEFAULT_TOP = 10

CHANNELS = ("memory", "file")
TIMES = ("event", "arrival")
LOG_FORMATS = ("common", "combined", "vhost_combined", "nginx_json")
URL_RULES = ("path", "full", "template")
SINKS = ("console", "jsonl:PATH", "parquet:PATH")


@dataclass(frozen=True)
class Sink:
    """Where the table of counts goes; ``path`` is None for the console only."""

    kind: Literal["console", "jsonl", "parquet"]
    path: Path | None = None

    def __str__(self) -> str:
        return self.kind if self.path is None else f"{self.kind}:{self.path}"


@dataclass(frozen=True)
class RunOptions:
    """A checked set of options. Make it with :func:`parse_options`."""

    window: timedelta
    slide: timedelta
    watermark: timedelta
    trigger: timedelta
    time: str
    log_format: str
    url: str
    timezone: str
    top: int
    max_events: int | None
    channel: str
    sinks: tuple[Sink, ...]


def parse_options(
    *,
    window: str = DEFAULT_WINDOW,
    slide: str | None = None,
    watermark: str = DEFAULT_WATERMARK,
    trigger: str = DEFAULT_TRIGGER,
    time: str = "event",
    log_format: str = "combined",
    url: str = "path",
    timezone: str = "UTC",
    top: int = DEFAULT_TOP,
    max_events: int | None = None,
    channel: str = "memory",
    sinks: Sequence[str] = (),
    out: Path | None = None,
) -> RunOptions:
    """Read and check what was given on the command line.

    ``slide`` is the window's length when it is not given. Without any sink the console is one.

    Raises:
        OptionError: an option cannot be used; the text names it and what would be right.
    """
    chosen = [parse_sink(text) for text in sinks]
    if out is not None:
        chosen.append(Sink("jsonl", out.absolute()))
    options = RunOptions(
        window=_length("--window", window),
        slide=_length("--slide", slide if slide is not None else window),
        watermark=_length("--watermark", watermark, zero=True),
        trigger=_length("--trigger", trigger, zero=True),
        time=_choice("--time", time, TIMES),
        log_format=log_format,
        url=_choice("--url", url, URL_RULES),
        timezone=timezone,
        top=_positive("--top", top),
        max_events=None if max_events is None else _positive("--max-events", max_events),
        channel=_choice("--channel", channel, CHANNELS),
        sinks=tuple(chosen) or (Sink("console"),),
    )
    _check_windows(options)
    _check_parsing(options)
    _check_sinks(options.sinks)
    return options


def parse_sink(text: str) -> Sink:
    """Read one ``--sink``: ``console``, ``jsonl:PATH`` or ``parquet:PATH``.

    Raises:
        OptionError: it is none of these.
    """
    kind, colon, path = text.partition(":")
    if kind == "console" and not colon:
        return Sink("console")
    if kind == "jsonl" and path:
        return Sink("jsonl", Path(path).absolute())
    if kind == "parquet" and path:
        return Sink("parquet", Path(path).absolute())
    if kind in ("jsonl", "parquet"):
        raise OptionError(f"--sink {text}: where to? Write --sink {kind}:PATH")
    raise OptionError(f"--sink {text}: not a sink{_nearest(kind, ['console', 'jsonl', 'parquet'])}; there is {SINKS}")


def _check_windows(options: RunOptions) -> None:
    from spark_job.errors import SparkJobError
    from spark_job.windows import Windows

    try:
        Windows(options.window, options.slide, options.watermark)
    except SparkJobError as error:
        raise OptionError(f"--window and --slide: {error}") from None


def _check_parsing(options: RunOptions) -> None:
    from spark_job.errors import SparkJobError
    from spark_job.parse import LineParser

    try:
        LineParser(options.log_format, options.url, options.timezone)
    except SparkJobError as error:
        hint = _nearest(options.log_format, LOG_FORMATS) if options.log_format.isidentifier() else ""
        raise OptionError(f"--format, --url or --timezone: {error}{hint}") from None


def _check_sinks(sinks: Sequence[Sink]) -> None:
    for sink in sinks:
        if sink.path is None:
            continue
        if not sink.path.parent.is_dir():
            raise OptionError(f"--sink {sink}: there is no folder {sink.path.parent}; make it first")
        if sink.kind == "jsonl" and sink.path.is_dir():
            raise OptionError(f"--sink {sink}: that is a folder; name a file in it")
    if len({str(sink) for sink in sinks}) < len(sinks):
        raise OptionError("--sink: the same sink is named twice")


def _length(name: str, text: str, *, zero: bool = False) -> timedelta:
    from spark_job.durations import parse_duration, parse_length

    read: Callable[[str], timedelta] = parse_duration if zero else parse_length
    try:
        return read(text)
    except ValueError as error:
        raise OptionError(f"{name} {text}: {error}") from None


def _choice(name: str, text: str, choices: Sequence[str]) -> str:
    if text not in choices:
        raise OptionError(f"{name} {text}: one of {', '.join(choices)}{_nearest(text, choices)}")
    return text


def _positive(name: str, number: int) -> int:
    if number < 1:
        raise OptionError(f"{name} {number}: a number above 0")
    return number


def _nearest(text: str, choices: Sequence[str]) -> str:
    near = difflib.get_close_matches(text, choices, n=1)
    return f"; did you mean {near[0]}?" if near else ""
