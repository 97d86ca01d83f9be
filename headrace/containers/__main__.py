"""``python -m headrace.containers``: the commands that the Makefile's targets for containers stand for.

Exit codes as everywhere: 0 done, 1 failed, 2 wrong usage or configuration, 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.containers import output
from headrace.containers.docker import Engine
from headrace.containers.folder import DEFAULT_FOLDER, ContainersFolder, account
from headrace.containers.lifecycle import Lifecycle
from headrace.containers.settings import DOCKER, Settings
from headrace.drop import drop
from headrace.errors import HeadraceError, MissingPrerequisite, NotRunning, UsageError
from headrace.messages import say

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

EXIT_INTERRUPTED = 130


class Commands:
    """The commands over one folder; each returns an exit code."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        """Read all settings.

        Raises:
            UsageError: one cannot be used.
        """
        self._arguments = arguments
        self._folder = ContainersFolder(arguments.folder)
        owner = account(os.getuid(), os.getgid(), os.environ)
        self._settings = Settings(os.environ, computed=self._folder.computed(owner))
        self._folders = {
            name: (DOCKER / self._settings[f"HEADRACE_{name.upper()}"]).resolve()
            for name in ("spool", "out", "secrets")
        }

    def up(self) -> int:
        """Build, start, wait until all is ready, and say what there is."""
        lifecycle = self._lifecycle()
        wanted = lifecycle.wanted(self._arguments.workers, self._arguments.bridges)
        with self._folder.lock():
            containers = lifecycle.up(wanted, self._folders)
        output.show_up(containers, self._settings, self._folders["spool"])
        return 0

    def down(self) -> int:
        """Stop in the order of the data; keep all of it."""
        lifecycle = self._lifecycle()
        with self._folder.lock():
            lifecycle.down()
        say("stopped; all data is kept, and `make up` goes on with it")
        return 0

    def reset(self) -> int:
        """Delete all data, after asking."""
        try:
            engine = self._engine()
        except MissingPrerequisite:
            if self._folder.root.exists():
                raise
            return 0
        volumes = engine.volumes()
        if not volumes and not engine.containers() and not self._folder.root.exists():
            return 0
        waiting = sum(1 for path in self._folders["spool"].glob("[!.]*")) if self._folders["spool"].is_dir() else 0
        question = (
            f"Delete the containers of {engine.project}, {len(volumes)} volumes with all events and counts, and "
            f"{self._folder.root} with {waiting} files that wait? [y/N] "
        )
        if not self._arguments.yes and input(question).strip().lower() not in ("y", "yes"):
            say("kept")
            return 0
        lifecycle = Lifecycle(self._folder, self._settings, engine, say)
        with self._folder.lock():
            lifecycle.reset()
        say("deleted")
        return 0

    def scale(self) -> int:
        """Change the numbers of workers and bridges."""
        if self._arguments.workers is None and self._arguments.bridges is None:
            raise UsageError("say how many: make scale WORKERS=3 BRIDGES=2")
        lifecycle = self._lifecycle()
        with self._folder.lock():
            containers = lifecycle.scale(self._arguments.workers, self._arguments.bridges)
        output.show_up(containers, self._settings, self._folders["spool"])
        return 0

    def status(self) -> int:
        """Show the containers and the stages in them."""
        engine = self._engine()
        if not engine.containers():
            raise NotRunning("no containers run: `make up` starts them")
        return output.show_status(engine, as_json=self._arguments.json)

    def counts(self) -> int:
        """Follow the console of the driver."""
        engine = self._engine()
        drivers = [each for each in engine.containers() if each.service == "driver"]
        if not drivers:
            raise NotRunning("no driver runs: `make up` starts it")
        command = engine.docker_command("logs", "--follow", "--tail", str(self._arguments.tail), drivers[0].id)
        # The counts are on its standard output; what it says of itself is for `make logs`.
        return subprocess.run(command, env=engine.environment, stderr=subprocess.DEVNULL, check=False).returncode

    def logs(self) -> int:
        """Follow what the containers say, or one service."""
        engine = self._engine()
        services = [self._arguments.service] if self._arguments.service else []
        command = engine.compose_command("logs", "--follow", f"--tail={self._arguments.tail}", *services)
        return subprocess.run(command, env=engine.environment, check=False).returncode

    def shell(self) -> int:
        """Open a shell in a service's container."""
        engine = self._engine()
        running = engine.running(self._arguments.service)
        if not running:
            known = sorted({each.service for each in engine.containers()})
            raise NotRunning(f"no {self._arguments.service} runs; there are {', '.join(known) or 'no containers'}")
        terminal = ["-it"] if sys.stdin.isatty() else ["-i"]
        command = engine.docker_command("exec", *terminal, running[0].id, "bash")
        return subprocess.run(command, env=engine.environment, check=False).returncode

    def drop(self) -> int:
        """Hand files over."""
        spool = self._folders["spool"]
        if not spool.is_dir():
            raise NotRunning(f"there is no {spool}: `make up` makes it")
        # The agent may be another account than the caller; the folder keeps others out.
        os.umask(0o022)
        for each in drop(self._arguments.files, spool):
            if each.target is None:
                output.print_lines([f"{each.source}: empty, not handed over"])
            else:
                output.print_lines([f"{each.source}: {each.lines:,} lines handed over as {each.target.name}"])
        return 0

    def config(self) -> int:
        """Print every setting with its origin, then what compose and the containers make of them."""
        output.show_settings(self._settings)
        engine = self._engine()
        output.print_lines(["", "# docker/compose.yaml, filled in"])
        code = subprocess.run(engine.compose_command("config"), env=engine.environment, check=False).returncode
        for service in ("agent", "bridge", "driver"):
            for each in engine.running(service)[:1]:
                _, said = engine.inside(each, "python", "-m", "headrace.services", "show", service)
                output.print_lines(["", f"# {service}, as it runs", said.rstrip()])
        return code

    def _engine(self) -> Engine:
        variables = self._settings.environment() | {
            f"HEADRACE_{name.upper()}": str(folder) for name, folder in self._folders.items()
        }
        return Engine(self._settings["COMPOSE_PROJECT_NAME"], variables, os.environ)

    def _lifecycle(self) -> Lifecycle:
        return Lifecycle(self._folder, self._settings, self._engine(), say)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(
        prog="python -m headrace.containers", description="The pipeline in containers. `make` lists it all."
    )
    made.add_argument("--folder", type=Path, default=DEFAULT_FOLDER, help="folder of this machine for all of it")
    commands = made.add_subparsers(dest="command", required=True)
    for name in ("up", "scale"):
        command = commands.add_parser(name, help=(getattr(Commands, name).__doc__))
        command.add_argument("--workers", type=_number, help="Spark workers; as many as before when not given")
        command.add_argument("--bridges", type=_number, help="bridges; never fewer than before")
    commands.add_parser("down", help=Commands.down.__doc__)
    commands.add_parser("reset", help=Commands.reset.__doc__).add_argument(
        "--yes", action="store_true", help="do not ask"
    )
    commands.add_parser("status", help=Commands.status.__doc__).add_argument(
        "--json", action="store_true", help="for machines"
    )
    commands.add_parser("counts", help=Commands.counts.__doc__).add_argument(
        "--tail", type=int, default=200, help="lines to begin with"
    )
    logs = commands.add_parser("logs", help=Commands.logs.__doc__)
    logs.add_argument("--tail", type=int, default=100, help="lines to begin with")
    logs.add_argument("service", nargs="?", help="one service only")
    commands.add_parser("shell", help=Commands.shell.__doc__).add_argument("service", nargs="?", default="driver")
    commands.add_parser("drop", help=Commands.drop.__doc__).add_argument("files", nargs="+", type=Path)
    commands.add_parser("config", help=Commands.config.__doc__)
    return made


def _number(text: str) -> int | None:
    # make hands an empty text over for what was not given.
    return int(text) if text else None


def main(arguments: Sequence[str]) -> int:
    """Run a command; every expected failure becomes sentences on standard error and an exit code."""
    given = parser().parse_args(arguments)
    try:
        command: Callable[[], int] = getattr(Commands(given), given.command)
        return command()
    except HeadraceError as error:
        say(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except (OSError, subprocess.SubprocessError) as error:
        say(str(error))
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
