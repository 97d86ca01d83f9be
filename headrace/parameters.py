"""The options that several commands share, each described once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

StateOption = Annotated[Path, typer.Option("--state", help="Folder that holds everything of a run.")]
SpoolOption = Annotated[
    Path | None,
    typer.Option("--spool", help="Folder where files are handed over.", show_default="<state>/spool"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
WindowOption = Annotated[
    str | None, typer.Option("--window", help="Length of a window: 30s, 5m, 1h.", show_default="5m")
]
SlideOption = Annotated[
    str | None, typer.Option("--slide", help="Time between the starts of two windows.", show_default="the window")
]
WatermarkOption = Annotated[
    str | None,
    typer.Option("--watermark", help="How far behind the newest line a line may be.", show_default="10m"),
]
TopOption = Annotated[
    str | None, typer.Option("--top", help="URLs of a window on the console.", metavar="NUMBER", show_default="10")
]
