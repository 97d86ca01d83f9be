"""The work behind ``render``, ``jars`` and ``log``: thin layers over the packages that own it."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from headrace.errors import OptionError
from headrace.local.run import say

if TYPE_CHECKING:
    from pathlib import Path


def render_files(values: Path, out: Path) -> None:
    """Render an agent's files into ``out``.

    Raises:
        FlumeError: the values cannot be used, or combine to what Flume would swallow in silence.
    """
    from flume.config.render import render_agent
    from flume.config.values import load_values

    rendered = render_agent(load_values(values), out)
    say(f"rendered {', '.join(rendered.components)} into {rendered.folder}")


def compare_examples(*, show: bool) -> int:
    """Compare the committed examples with what their values render to; return the exit code."""
    from flume.config.rendered_examples import diff

    difference = diff()
    if show:
        sys.stdout.write(difference)
    elif difference:
        say("the committed examples have drifted from the templates: see `headrace render --diff`")
    return 1 if difference else 0


def update_examples() -> None:
    """Write the committed examples anew and say which changed."""
    from flume.config.rendered_examples import update

    changed = update()
    say(f"{len(changed)} files changed" + "".join(f"\n  {path}" for path in changed))


def fetch_jars(*, verify: bool, as_json: bool, of_s3: bool) -> None:
    """Make the cache of jars complete, that of Flume or that for S3, and say where it is.

    Raises:
        FlumeError: a jar cannot be fetched or is not the recorded one.
    """
    from flume.jars.cache import ensure_jars
    from headrace import jars_s3a

    def progress(done: int, total: int, name: str) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{done}/{total} {name}")
            sys.stderr.flush()

    found = (jars_s3a.ensure_jars if of_s3 else ensure_jars)(progress, verify=verify)
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    if as_json:
        sys.stdout.write(json.dumps([str(jar) for jar in found], indent=2) + "\n")
    else:
        say(f"{len(found)} jars are complete in {found[0].parent}")


def log_folder(folder: Path | None, state: Path) -> Path:
    """Return the log folder that is meant: the one named, or the only one of a state folder.

    Raises:
        OptionError: there is none, or none was named and there are several.
    """
    if folder is not None:
        if not folder.is_dir():
            raise OptionError(f"{folder}: there is no such folder")
        return folder
    data = state / "bridge" / "data"
    found = sorted(path for path in data.glob("*") if path.is_dir())
    if len(found) != 1:
        raise OptionError(f"{data} holds {len(found)} logs: name one, such as {data / '0'}")
    return found[0]


def verify_log(folder: Path, *, as_json: bool) -> int:
    """Check a log and print what was found; return the exit code.

    Raises:
        BridgeError: it cannot be opened.
    """
    from avro_bridge.log.tools.verify import verify

    report = verify(folder)
    if as_json:
        sys.stdout.write(json.dumps(asdict(report), indent=2) + "\n")
    else:
        lines = [
            f"{report.folder}: log {report.log_id or '?'}, offsets {report.first_offset:,} to {report.next_offset:,}",
            f"{report.events:,} events in {report.batches:,} batches, {report.payload_bytes:,} bytes",
            *(f"DAMAGED offsets {each.first} to {each.last}: {each.reason}" for each in report.damaged),
            *(f"PROBLEM {text}" for text in report.problems),
        ]
        if not report.structure_checked:
            lines.append("the pages were not checked: a bridge is writing to this log")
        lines.append("the log is whole" if report.ok else "the log is not whole")
        sys.stdout.write("\n".join(lines) + "\n")
    return 0 if report.ok else 1


def dump_log(folder: Path, start: int | None, end: int | None, *, events: bool, body_bytes: int) -> int:
    """Print batches or events as JSON lines; return the exit code, which is 1 when a range is damaged.

    Raises:
        BridgeError: the log cannot be opened, or the range is not in it.
    """
    from avro_bridge.log.log import Log
    from avro_bridge.log.tools.dump import dump_batches, dump_events
    from avro_bridge.log.tools.scan import DamagedRange

    code = 0
    with Log.open_readonly(folder) as view:
        first = view.first_offset if start is None else start
        last = view.next_offset if end is None else end
        found = dump_events(view, first, last, body_bytes=body_bytes) if events else dump_batches(view, first, last)
        for each in found:
            code = 1 if isinstance(each, DamagedRange) else code
            sys.stdout.write(json.dumps(asdict(each)) + "\n")
    return code
