"""The commands on a bridge's log: ``log verify`` and ``log dump``."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli import parameters as given  # noqa: TC001 - typer reads the annotations when the program runs
from headrace.errors import UsageError
from headrace.state_folder import DEFAULT_STATE

if TYPE_CHECKING:
    from avro_bridge.log.tools.verify import VerifyReport

LogFolder = Annotated[
    Path | None, typer.Argument(help="Folder of a bridge's log.", metavar="FOLDER", show_default="that of --state")
]


def verify(
    folder: LogFolder = None, state: given.StateOption = DEFAULT_STATE, as_json: given.JsonOption = False
) -> None:
    """Check a log from end to end without changing it: pages, checksums, offsets, counters.

    Ends with 1 when something is damaged.

    Example: `headrace log verify state/bridge/data/0`
    """
    from avro_bridge.log.tools.verify import verify as verify_log

    report = verify_log(log_folder(folder, state))
    if as_json:
        sys.stdout.write(json.dumps(asdict(report), indent=2) + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in report_lines(report))
    raise typer.Exit(0 if report.ok else 1)


def dump(
    folder: LogFolder = None,
    state: given.StateOption = DEFAULT_STATE,
    start: Annotated[
        int | None, typer.Option("--start", min=0, help="First offset.", show_default="the first one kept")
    ] = None,
    end: Annotated[
        int | None, typer.Option("--end", min=0, help="Offset to stop before.", show_default="the end of the log")
    ] = None,
    events: Annotated[bool, typer.Option("--events", help="Print a line for each event, not for each batch.")] = False,
    body: Annotated[int, typer.Option("--body", min=0, help="With --events: bytes of each body to show.")] = 0,
) -> None:
    """Print the batches or events of a log, one JSON object a line.

    Bodies are left out unless --body asks for them; then they are escaped. Ends with 1 when a range is damaged.

    Example: `headrace log dump --events --body 80 --start 1000 --end 1010`
    """
    from avro_bridge.log.log import Log
    from avro_bridge.log.tools.dump import dump_batches, dump_events
    from avro_bridge.log.tools.scan import DamagedRange

    code = 0
    with Log.open_readonly(log_folder(folder, state)) as log:
        first = log.first_offset if start is None else start
        last = log.next_offset if end is None else end
        found = dump_events(log, first, last, body_bytes=body) if events else dump_batches(log, first, last)
        for each in found:
            code = 1 if isinstance(each, DamagedRange) else code
            sys.stdout.write(json.dumps(asdict(each)) + "\n")
    raise typer.Exit(code)


def log_folder(folder: Path | None, state: Path) -> Path:
    """Return the log folder that is meant: the one named, or the only one of a state folder.

    Raises:
        UsageError: the folder does not exist, or none was named and the state folder has not just one log.
    """
    if folder is not None:
        if not folder.is_dir():
            raise UsageError(f"{folder}: no such folder")
        return folder
    data = state / "bridge" / "data"
    found = sorted(path for path in data.glob("*") if path.is_dir())
    if len(found) != 1:
        raise UsageError(f"{data} holds {len(found)} logs: name one, such as {data / '0'}")
    return found[0]


def report_lines(report: VerifyReport) -> list[str]:
    """Return what a check found, for people."""
    lines = [
        f"{report.folder}: log {report.log_id or '?'}, offsets {report.first_offset:,} to {report.next_offset:,}",
        f"{report.events:,} events in {report.batches:,} batches, {report.payload_bytes:,} bytes",
        *(f"DAMAGED offsets {each.first} to {each.last}: {each.reason}" for each in report.damaged),
        *(f"PROBLEM {text}" for text in report.problems),
    ]
    if not report.structure_checked:
        lines.append("the pages were not checked: a bridge is writing to this log")
    return [*lines, "the log is whole" if report.ok else "the log is not whole"]
