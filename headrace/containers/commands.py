"""The commands for the containers. Imports the standard library only; see :mod:`headrace.__main__`.

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from headrace.containers import output
from headrace.containers.arguments import parser
from headrace.containers.docker import Engine
from headrace.containers.folder import ContainersFolder, account
from headrace.containers.hints import typed
from headrace.containers.lifecycle import Lifecycle
from headrace.containers.places import chosen_settings, project_folder
from headrace.containers.settings import Settings
from headrace.drop import drop
from headrace.errors import HeadraceError, MissingPrerequisite, NotRunning, UsageError
from headrace.messages import say

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

EXIT_INTERRUPTED = 130
OTHERS_CAN_READ = 0o022
"""A umask."""


class Commands:
    """The commands on one folder of this machine; each returns an exit code.

    Args:
        arguments: the options of the command, as :mod:`headrace.containers.arguments` declares them.

    Raises:
        UsageError: a setting cannot be used.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self._folder = ContainersFolder(arguments.folder)
        owner = account(os.getuid(), os.getgid(), os.environ)
        chosen = chosen_settings(arguments.folder)
        self._settings = Settings(os.environ, chosen, self._folder.computed(owner))
        # A relative folder starts from the file of settings, as compose has it.
        self._folders = {
            name: (chosen.parent / self._settings[f"HEADRACE_{name.upper()}"]).resolve()
            for name in ("spool", "out", "secrets")
        }

    def up(self) -> int:
        """Build, start, wait until all containers are ready, and print how to use them."""
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
        say(f"stopped; all data is kept, and `{typed('up')}` goes on with it")
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
            raise UsageError(f"say how many: {typed('scale', workers=3, bridges=2)}")
        lifecycle = self._lifecycle()
        with self._folder.lock():
            containers = lifecycle.scale(self._arguments.workers, self._arguments.bridges)
        output.show_up(containers, self._settings, self._folders["spool"])
        return 0

    def status(self) -> int:
        """Show the containers and the stages in them."""
        engine = self._engine()
        if not engine.containers():
            raise NotRunning(f"no containers run: `{typed('up')}` starts them")
        return output.show_status(engine, as_json=self._arguments.json)

    def counts(self) -> int:
        """Follow the console of the driver."""
        engine = self._engine()
        drivers = [each for each in engine.containers() if each.service == "driver"]
        if not drivers:
            raise NotRunning(f"no driver runs: `{typed('up')}` starts it")
        command = engine.docker_command("logs", "--follow", "--tail", str(self._arguments.tail), drivers[0].id)
        # The counts are the driver's standard output. Its log, on standard error, is shown by `logs`.
        return subprocess.run(command, env=engine.environment, stderr=subprocess.DEVNULL, check=False).returncode

    def logs(self) -> int:
        """Follow the logs of all containers, or of one service."""
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
            raise NotRunning(f"no {self._arguments.service} runs; these do: {', '.join(known) or 'none'}")
        terminal = ["-it"] if sys.stdin.isatty() else ["-i"]
        command = engine.docker_command("exec", *terminal, running[0].id, "bash")
        return subprocess.run(command, env=engine.environment, check=False).returncode

    def drop(self) -> int:
        """Hand files over."""
        spool = self._folders["spool"]
        if not spool.is_dir():
            raise NotRunning(f"{spool} does not exist: `{typed('up')}` makes it")
        # The agent may run as another account than the caller. The folder itself keeps other accounts out.
        os.umask(OTHERS_CAN_READ)
        output.print_lines(each.outcome for each in drop(self._arguments.files, spool))
        return 0

    def config(self) -> int:
        """Print every setting with its origin, then the configurations that follow from them."""
        output.show_settings(self._settings)
        engine = self._engine()
        output.print_lines(["", "# docker/compose.yaml, filled in"])
        code = subprocess.run(engine.compose_command("config"), env=engine.environment, check=False).returncode
        for service in ("agent", "bridge", "driver"):
            for each in engine.running(service)[:1]:
                _, printed = engine.run_in(each, "python", "-m", "headrace.services", "show", service)
                output.print_lines(["", f"# {service}, as it runs", printed.rstrip()])
        return code

    def _engine(self) -> Engine:
        variables = self._settings.environment() | {
            f"HEADRACE_{name.upper()}": str(folder) for name, folder in self._folders.items()
        }
        project = self._settings["COMPOSE_PROJECT_NAME"]
        return Engine(project, variables, os.environ, project_folder(self._folder.root))

    def _lifecycle(self) -> Lifecycle:
        return Lifecycle(self._folder, self._settings, self._engine(), say)


def run(command: str, options: dict[str, Any]) -> int:
    """Run a command with its options by their keys; return the exit code.

    Raises:
        HeadraceError: it failed; the message says why.
    """
    work: Callable[[], int] = getattr(Commands(argparse.Namespace(**options)), command)
    return work()


def main(words: Sequence[str]) -> int:
    """Run a command line; every expected failure becomes sentences on standard error and an exit code."""
    given = vars(parser().parse_args(words))
    try:
        return run(given.pop("command"), given)
    except HeadraceError as error:
        say(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except (OSError, subprocess.SubprocessError) as error:
        say(str(error))
        return 1
