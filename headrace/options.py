"""What ``run``, ``run --once`` and ``demo`` can be told: read and checked as a whole before any process starts.

The checks are those of the job itself (:class:`spark_job.execution.settings.UrlCountsSettings`), made here so that a
wrong option shows at once and not after Java has started.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta

    from spark_job.execution.settings import UrlCountsSettings

DEFAULT_WINDOW = "5m"
DEFAULT_WATERMARK = "10m"
DEFAULT_TRIGGER = "500ms"
DEFAULT_TOP = 10

CHANNELS = ("memory", "file")
DEFAULT_CHANNEL = "memory"
TIMES = ("event", "arrival")
LOG_FORMATS = ("common", "combined", "vhost_combined", "nginx_json")
URL_RULES = ("path", "full", "template")

NO_BRIDGE_YET = "127.0.0.1:1"
"""Stands for the bridge's address until the bridge has chosen its port."""


@dataclass(frozen=True)
class RunOptions:
    """A checked set of options; ``job`` lacks the bridge's address and the job's folder, which the run fills in."""

    job: UrlCountsSettings
    channel: str


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
    channel: str = DEFAULT_CHANNEL,
    sinks: Sequence[str] = (),
    out: Path | None = None,
) -> RunOptions:
    """Read and check what was given on the command line.

    ``slide`` is the window's length when it is not given. Without any sink the console is one.

    Raises:
        OptionError: an option cannot be used; the text names it and what would be right.
    """
    from spark_job.errors import SparkJobError
    from spark_job.execution.settings import DEFAULT_MAX_EVENTS, UrlCountsSettings
    from spark_job.sinks.choice import parse_sink
    from spark_job.windows import Windows

    _check_choice("--time", time, TIMES)
    _check_choice("--url", url, URL_RULES)
    _check_choice("--channel", channel, CHANNELS)
    _check_positive("--top", top)
    _check_positive("--max-events", 1 if max_events is None else max_events)
    if "%" not in log_format:
        _check_choice("--format", log_format, LOG_FORMATS)
    chosen = [*sinks, *([f"jsonl:{out}"] if out is not None else [])] or ["console"]
    try:
        settings = UrlCountsSettings(
            bridges=NO_BRIDGE_YET,
            job_folder=Path(),
            windows=Windows(
                _length("--window", window),
                _length("--slide", slide if slide is not None else window),
                _length("--watermark", watermark, zero=True),
            ),
            time=time,
            log_format=log_format,
            url=url,
            timezone=timezone,
            top=top,
            max_events=DEFAULT_MAX_EVENTS if max_events is None else max_events,
            trigger=_length("--trigger", trigger, zero=True),
            sinks=tuple(parse_sink(text) for text in chosen),
        )
    except SparkJobError as error:
        raise OptionError(str(error)) from None
    if len(set(settings.sinks)) < len(settings.sinks):
        raise OptionError("--sink: the same sink is named twice")
    return RunOptions(settings, channel)


def _length(name: str, text: str, *, zero: bool = False) -> timedelta:
    from spark_job.durations import parse_duration, parse_length

    read: Callable[[str], timedelta] = parse_duration if zero else parse_length
    try:
        return read(text)
    except ValueError as error:
        raise OptionError(f"{name} {text}: {error}") from None


def _check_choice(name: str, text: str, choices: Sequence[str]) -> None:
    if text not in choices:
        near = difflib.get_close_matches(text, choices, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise OptionError(f"{name} {text}: not one of {', '.join(choices)}{hint}")


def _check_positive(name: str, number: int) -> None:
    if number < 1:
        raise OptionError(f"{name} {number}: must be above 0")
