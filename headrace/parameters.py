"""The options that several commands share, each described once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RUNNING = "Running the pipeline"
COUNTING = "What is counted"
READING = "How lines are read"

StateOption = Annotated[Path, typer.Option("--state", help="Folder that holds everything of a run.")]
SpoolOption = Annotated[
    Path | None,
    typer.Option("--spool", help="Folder where files are handed over.", show_default="<state>/spool"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
WindowOption = Annotated[
    str, typer.Option("--window", help="Length of a window: 30s, 5m, 1h.", rich_help_panel=COUNTING)
]
SlideOption = Annotated[
    str | None,
    typer.Option(
        "--slide",
        help="Time between the starts of two windows; the window is a whole multiple of it.",
        show_default="the window",
        rich_help_panel=COUNTING,
    ),
]
WatermarkOption = Annotated[
    str,
    typer.Option(
        "--watermark", help="How far behind the newest line a line may be and still count.", rich_help_panel=COUNTING
    ),
]
TimeOption = Annotated[
    str, typer.Option("--time", help="event (in the line) or arrival (at the bridge).", rich_help_panel=COUNTING)
]
TopOption = Annotated[int, typer.Option("--top", help="URLs of a window on the console.", rich_help_panel=COUNTING)]
TriggerOption = Annotated[
    str, typer.Option("--trigger", help="Time between two micro-batches; 0s: at once.", rich_help_panel=COUNTING)
]
MaxEventsOption = Annotated[
    int | None,
    typer.Option(
        "--max-events", help="Lines of one micro-batch at most.", show_default="1000000", rich_help_panel=COUNTING
    ),
]
SinkOption = Annotated[
    list[str] | None,
    typer.Option(
        "--sink",
        help="Where counts go: console, jsonl:PATH or parquet:PATH. Repeat it for several.",
        show_default="console",
        rich_help_panel=COUNTING,
    ),
]
OutOption = Annotated[
    Path | None,
    typer.Option("--out", help="Short for --sink jsonl:PATH.", rich_help_panel=COUNTING, show_default=False),
]
FormatOption = Annotated[
    str,
    typer.Option(
        "--format",
        help="common, combined, vhost_combined, nginx_json, or an Apache LogFormat string.",
        rich_help_panel=READING,
    ),
]
UrlOption = Annotated[
    str,
    typer.Option(
        "--url",
        help="path (without the query), full, or template (numbers and UUIDs collapsed).",
        rich_help_panel=READING,
    ),
]
TimezoneOption = Annotated[
    str, typer.Option("--timezone", help="Zone of times that are logged without one.", rich_help_panel=READING)
]
ChannelOption = Annotated[
    str,
    typer.Option(
        "--channel",
        help="Flume's channel: memory is four times faster, file loses nothing when the agent is killed.",
        rich_help_panel=RUNNING,
    ),
]
