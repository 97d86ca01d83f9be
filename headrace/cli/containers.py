"""The commands for the containers, as :mod:`headrace.containers.arguments` declares them, beside the others."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.containers.arguments import COMMANDS, Command, Option
from spark_job.options.command_line import with_signature

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def commands() -> Iterator[tuple[str, Callable[..., None]]]:
    """Yield the name and the function of each command that always means the containers."""
    for command in COMMANDS:
        yield command.name, _function(command)


def run(command: str, **options: Any) -> None:
    """Run a command for the containers and end with its exit code.

    Raises:
        HeadraceError: it failed.
    """
    from headrace.containers.commands import run as run_command

    raise typer.Exit(run_command(command, options))


def _function(command: Command) -> Callable[..., None]:
    def body(**given: Any) -> None:
        run(command.name, **given)

    return with_signature(body, [_parameter(option) for option in command.options], inspect.cleandoc(command.help))


def _parameter(option: Option) -> inspect.Parameter:
    kind = option.kind if option.kind is bool or option.default is not None else option.kind | None
    described = (
        typer.Option(option.name, help=option.help, show_default=option.shown or True)
        if option.name.startswith("-")
        else typer.Argument(help=option.help, metavar=option.key.upper())
    )
    annotation = Annotated[kind, described]  # type: ignore[valid-type] # made when the program runs
    return inspect.Parameter(option.key, inspect.Parameter.KEYWORD_ONLY, default=option.default, annotation=annotation)
