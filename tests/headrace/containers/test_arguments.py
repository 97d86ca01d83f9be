"""The declared commands: which words mean the containers, and what both command lines make of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer.main

from headrace.cli.app import app
from headrace.containers.arguments import COMMANDS, CONTAINERS, SHARED, Command, mean_containers, parser


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ([], False),
        (["up"], True),
        (["up", "--help"], True),
        (["run"], False),
        (["--help"], False),
        (["drop", "a.log"], False),
        (["drop", "--containers", "a.log"], True),
        (["drop", "a.log", "--containers"], True),
        (["drop", "--", "--containers"], False),
        (["status"], False),
        (["status", "--json", "--containers"], True),
        (["sample", "--containers"], False),
    ],
)
def test_the_words_of_the_containers_are_told_from_others(words: list[str], meant: bool) -> None:  # noqa: FBT001
    assert mean_containers(words) is meant


def test_values_are_read_as_what_they_are() -> None:
    given = vars(parser().parse_args(["scale", "--workers", "3", "--folder", "here"]))
    assert given == {"command": "scale", "workers": 3, "bridges": None, "folder": Path("here")}
    given = vars(parser().parse_args(["drop", "--containers", "--folder", "here", "--", "-a.log", "b.log"]))
    assert given["files"] == [Path("-a.log"), Path("b.log")]
    given = vars(parser().parse_args(["shell"]))
    assert given["service"] == "driver"


@pytest.mark.parametrize("command", [*COMMANDS, *SHARED], ids=lambda command: command.name)
def test_the_other_command_line_has_the_same_options_and_defaults(command: Command) -> None:
    group = typer.main.get_command(app)
    shown = group.commands[command.name].params  # type: ignore[attr-defined] # typer keeps its classes to itself
    options = {name: each for each in shown for name in each.opts}
    for option in command.options:
        name = option.name if option.name.startswith("-") else option.key
        assert options[name].default == (None if option.many else option.default), option.name
    if command in COMMANDS:
        assert len(shown) == len(command.options)


def test_a_help_has_a_sentence_and_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    for command in (*COMMANDS, *SHARED):
        with pytest.raises(SystemExit) as ended:
            parser().parse_args([command.name, "--help"])
        assert ended.value.code == 0
        shown = capsys.readouterr().out
        assert " ".join(command.help.split("\n\n")[0].split()) in " ".join(shown.split())
        assert f"Example: `headrace {command.name}" in shown
        assert max(map(len, shown.splitlines())) <= 120
    assert CONTAINERS.help in " ".join(shown.split())
