"""The page about the command line: every command, option, default and make target, read from the program itself."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer.main

from docs.settings_reference import cell, head, table
from headrace.cli.app import app
from headrace.local.run_options import PipelineOptions
from spark_job.jobs.catalog import JOBS
from spark_job.options.command_line import parameters
from spark_job.runner.job_settings import PROCESS, JobSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).resolve().parents[1]
MARKER = "once"
"""The parameter that only commands which run a job have."""

INTRODUCTION = """\
Every command also explains itself with `--help`. Data goes to standard output, messages go to standard error.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | failed, or the sum of the lines does not hold |
| 2 | wrong usage or configuration |
| 130 | interrupted (Ctrl-C) |

The targets of `make` call these commands. `make` alone prints them:
"""

SHARED = """\
## Options of every job

`headrace run`, `headrace job` and `headrace sql` take these options besides their own. A length is written like
`500ms`, `30s`, `5m`, `1h30m` or `2d`. The options under *How lines are read* exist only for jobs that read access logs.
A log format is one of `common`, `combined`, `vhost_combined`, `nginx_json`, or any LogFormat string of Apache.
"""

PROCESS_OPTIONS = """\
## Options of a job's own process

`headrace` starts each job as `python -m spark_job NAME`. Started by hand, for example in a cluster, the process also
takes these options:
"""


def make_targets(makefile: str) -> list[tuple[str, str]]:
    """Return the targets that `make` lists, each with its sentence."""
    return re.findall(r"^([a-z][a-z-]*):[^#\n]*## (.+)$", makefile, re.MULTILINE)


def commands() -> list[tuple[str, Any]]:
    """Return every command by its words, such as ``log verify`` and ``job sessions``, in the order of the help."""

    # Typer does not export its copy of click's classes, so the types cannot be named here.
    def walk(group: Any, words: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        for name, child in group.commands.items():
            path = (*words, name)
            if name == "job":
                # The group of the jobs makes a command only when it is called by name.
                for entry in JOBS:
                    yield " ".join((*path, entry.name)), child.resolve_command(None, [entry.name])[1]
            elif getattr(child, "commands", None):
                yield from walk(child, path)
            else:
                yield " ".join(path), child

    return list(walk(typer.main.get_command(app), ()))


def page() -> str:
    """Return the page."""
    targets = make_targets((ROOT / "Makefile").read_text(encoding="utf-8"))
    found = commands()
    parts = [
        head("The command line", "the program's own options, and `Makefile`"),
        INTRODUCTION,
        table(("target", "what it does"), [(f"`make {name}`", cell(text)) for name, text in targets]),
        "## Commands\n",
        *(_section(words, command) for words, command in found),
        SHARED,
        *_shared_tables(dict(found)["run"]),
        PROCESS_OPTIONS,
        table(("option", "default", "meaning"), [_row(each) for each in _process_options()]),
    ]
    return "\n".join(parts).rstrip() + "\n"


def _shared_names() -> set[str]:
    return {MARKER, *JobSettings.model_fields, *PipelineOptions.model_fields}


def _section(words: str, command: Any) -> str:
    """Return heading, help text and own options of one command."""
    runs_a_job = any(each.name == MARKER for each in command.params)
    own = [each for each in command.params if not (runs_a_job and each.name in _shared_names())]
    rows = [_row(each) for each in own if each.name != "help" and not getattr(each, "hidden", False)]
    parts = [f"### `headrace {words}`\n", _paragraphs(command.help)]
    if rows:
        parts.append(table(("option", "default", "meaning"), rows))
    if runs_a_job:
        parts.append("And the [options of every job](#options-of-every-job).\n")
    return "\n".join(parts)


def _paragraphs(text: str) -> str:
    """Return a help text, with its examples as one block of commands."""
    lines = re.findall(r"^Example: (.+)$", text, re.MULTILINE)
    examples = [command for line in lines for command in re.findall(r"`([^`]+)`", line)]
    prose = re.sub(r"^Example: .+$\n*", "", text, flags=re.MULTILINE).strip()
    block = "\n".join(["```sh", *examples, "```"])
    return f"{prose}\n\n{block}\n" if examples else f"{prose}\n"


def _shared_tables(run: Any) -> list[str]:
    """Return the shared options of ``headrace run``, a table for each heading of the help."""
    panels: dict[str, list[Sequence[str]]] = {}
    for each in run.params:
        if each.name in _shared_names():
            panels.setdefault(each.rich_help_panel, []).append(_row(each))
    return [f"### {name}\n\n{table(('option', 'default', 'meaning'), rows)}" for name, rows in panels.items()]


def _process_options() -> list[Any]:
    """Return the options that only the process of a job has, as parameters of a command."""
    skip = [name for name in JobSettings.model_fields if name not in _internal_names()]
    probe = typer.Typer()

    def command() -> None: ...

    command.__signature__ = _signature(skip)  # type: ignore[attr-defined] # known to inspect, not to mypy
    probe.command()(command)
    return [each for each in typer.main.get_command(probe).params if each.name in _internal_names()]


def _internal_names() -> set[str]:
    outer = {each.name for each in parameters(JobSettings, PROCESS, internal=False)}
    return set(JobSettings.model_fields) - outer


def _signature(skip: Sequence[str]) -> Any:
    return inspect.Signature(parameters(JobSettings, PROCESS, skip=skip, internal=True))


def _row(parameter: Any) -> tuple[str, str, str]:
    """Return the names, the default and the meaning of one option or argument."""
    if parameter.param_type_name == "argument":
        names = f"`{parameter.metavar or parameter.name.upper()}`"
    else:
        names = ", ".join(f"`{name}`" for name in parameter.opts)
    return names, _default(parameter), cell(parameter.help or "")


def _default(parameter: Any) -> str:
    if isinstance(parameter.show_default, str):
        return f"`{parameter.show_default}`" if "<" in parameter.show_default else cell(parameter.show_default)
    if parameter.required:
        return "required"
    if getattr(parameter, "is_flag", False):
        return "off"
    return "none" if parameter.default in (None, "", (), []) else f"`{parameter.default}`"
