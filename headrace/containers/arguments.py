"""The commands for the containers and their options, each declared once.

:func:`parser` makes a parser of the standard library from them, so that ``headrace up`` works on a machine that has
Python and Docker and nothing else. :mod:`headrace.cli.containers` makes the commands of ``headrace --help`` from them.
"""

from __future__ import annotations

import argparse
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from headrace.containers.places import DEFAULT_FOLDER

HELP_WIDTH = 110


@dataclass(frozen=True)
class Option:
    """One option of a command, or one argument if its name has no dashes.

    Attributes:
        name: as it is typed, for example ``--workers``.
        kind: type of the value; bool for a flag.
        help: one sentence.
        default: the value when the option is not given.
        many: whether an argument takes several values.
        shown: the default as the help shows it, where it is not the value itself.
    """

    name: str
    kind: type
    help: str
    default: Any = None
    many: bool = False
    shown: str = ""

    @property
    def key(self) -> str:
        """The name in the code."""
        return self.name.lstrip("-").replace("-", "_")


@dataclass(frozen=True)
class Command:
    """One command. The first paragraph of ``help`` is one sentence, which lists show; the last one is an example."""

    name: str
    help: str
    options: tuple[Option, ...] = ()

    @property
    def summary(self) -> str:
        """The first paragraph of the help, in one line."""
        return " ".join(self.help.partition("\n\n")[0].split()).rstrip(".")


FOLDER: Final = Option(
    "--folder", Path, "Folder of this machine for spool, output and secrets.", DEFAULT_FOLDER, shown="containers"
)
CONTAINERS: Final = Option(
    "--containers", bool, "Take the containers that `headrace up` started, not a run on this machine.", default=False
)
_WORKERS = Option("--workers", int, "Number of Spark workers; as many as before when not given.")
_BRIDGES = Option("--bridges", int, "Number of bridges; never fewer than before.")

COMMANDS: Final = (
    Command(
        "up",
        """Build and start agent, bridge and a Spark cluster in Docker; return when all of them are ready.

        Needs a Docker engine and docker compose 1.27 or newer. A second `up` with other settings changes what the
        settings concern.

        Example: `headrace up --workers 2`
        """,
        (_WORKERS, _BRIDGES, FOLDER),
    ),
    Command(
        "down",
        """Stop the containers in the order of the data; all data is kept.

        Example: `headrace down`
        """,
        (FOLDER,),
    ),
    Command(
        "scale",
        """Change the number of workers or bridges while the containers run.

        Example: `headrace scale --workers 3 --bridges 2`
        """,
        (_WORKERS, _BRIDGES, FOLDER),
    ),
    Command(
        "counts",
        """Follow the counts as the containers print them, until Ctrl-C.

        Example: `headrace counts`
        """,
        (Option("--tail", int, "Number of earlier lines to begin with.", 200), FOLDER),
    ),
    Command(
        "logs",
        """Follow the logs of the containers, or of one service, until Ctrl-C.

        Example: `headrace logs bridge`
        """,
        (
            Option("service", str, "Service; all of them when not given."),
            Option("--tail", int, "Number of earlier lines to begin with.", 100),
            FOLDER,
        ),
    ),
    Command(
        "shell",
        """Open a shell in the container of a service.

        Example: `headrace shell bridge`
        """,
        (Option("service", str, "Service.", "driver"), FOLDER),
    ),
    Command(
        "config",
        """Print every setting of the containers with its origin, and the configuration that follows from them.

        Example: `headrace config`
        """,
        (FOLDER,),
    ),
    Command(
        "reset",
        """Delete the containers with all their data: events, counts, checkpoint (asks first).

        Example: `headrace reset`
        """,
        (Option("--yes", bool, "Do not ask.", default=False), FOLDER),
    ),
)
"""Commands that always mean the containers."""

SHARED: Final = (
    Command(
        "drop",
        """Hand log files over to the agent in the containers.

        Example: `headrace drop --containers access.log`
        """,
        (CONTAINERS, FOLDER, Option("files", Path, "Log files; .gz and .zst are unpacked.", many=True)),
    ),
    Command(
        "status",
        """Show the containers and every stage with its counters, and whether the sums hold.

        Example: `headrace status --containers`
        """,
        (CONTAINERS, FOLDER, Option("--json", bool, "Print JSON for machines.", default=False)),
    ),
)
"""Commands that mean the containers when they are told ``--containers``."""


def mean_containers(words: list[str]) -> bool:
    """Whether a command line is one for the containers."""
    if not words:
        return False
    options = words[: words.index("--")] if "--" in words else words
    shared = words[0] in {command.name for command in SHARED} and CONTAINERS.name in options
    return shared or words[0] in {command.name for command in COMMANDS}


def parser() -> argparse.ArgumentParser:
    """Return the parser of the commands for the containers."""
    made = argparse.ArgumentParser(prog="headrace", description="The pipeline in containers.")
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in (*COMMANDS, *SHARED):
        below = commands.add_parser(
            command.name,
            help=command.summary,
            description=_wrapped(command.help),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        for option in command.options:
            _add(below, option)
    return made


def _add(to: argparse.ArgumentParser, option: Option) -> None:
    if option.kind is bool:
        to.add_argument(option.name, action="store_true", help=option.help)
        return
    shown = option.help if option.default is None else f"{option.help} Default: {option.shown or option.default}."
    if option.name.startswith("-"):
        to.add_argument(option.name, type=option.kind, default=option.default, help=shown)
    else:
        count = "+" if option.many else "?"
        to.add_argument(option.name, type=option.kind, nargs=count, default=option.default, help=shown)


def _wrapped(text: str) -> str:
    paragraphs = (" ".join(paragraph.split()) for paragraph in text.split("\n\n"))
    return "\n\n".join(textwrap.fill(paragraph, HELP_WIDTH, break_on_hyphens=False) for paragraph in paragraphs)
