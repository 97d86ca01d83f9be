"""``headrace`` and ``python -m headrace``: the whole command line.

The commands for the containers run on the standard library alone. So ``make up`` works on a machine that has Docker and
Python and no virtual environment. All other commands need the packages that ``make setup`` installs.
"""

from __future__ import annotations

import sys

from headrace.containers.arguments import mean_containers


def main() -> None:
    """Run the command that the arguments name, then exit."""
    if mean_containers(sys.argv[1:]):
        from headrace.containers.commands import main as run_containers

        sys.exit(run_containers(sys.argv[1:]))
    try:
        import typer  # noqa: F401 - only to see whether the packages are there
    except ImportError:
        from headrace.messages import say

        say("this command needs the project's Python packages: `make setup` installs them, then use .venv/bin/headrace")
        sys.exit(1)
    from headrace.cli.app import main as run

    run()


if __name__ == "__main__":
    main()
