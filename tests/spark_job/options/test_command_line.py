"""Options are declared once, and become a command's parameters, a model, and the arguments of another command."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, ClassVar

import pytest
import typer
from pydantic import Field
from typer.testing import CliRunner

from spark_job.errors import OptionError
from spark_job.options.command_line import arguments, parameters, read_options, with_signature
from spark_job.options.model import Duration, Flag, Length, OptionModel, choice_of


class Example(OptionModel):
    """One field of each kind."""

    window: Length = Field(timedelta(minutes=5), description="A length.")
    slide: Annotated[Length | None, Flag(shown_default="the window")] = Field(None, description="Another.")
    pause: Duration = Field(timedelta(0), description="May be zero.")
    colour: Annotated[str, choice_of("red", "green"), Flag("color")] = Field("red", description="One of two.")
    count: int = Field(3, ge=1, description="A number.")
    share: float = Field(0.5, description="Another number.")
    path: Path | None = Field(None, description="A path.")
    names: tuple[str, ...] = Field((), description="Several.")
    quick: bool = Field(False, description="A switch.")
    inner: Annotated[str, Flag(internal=True)] = Field("", description="For the process.")

    removed: ClassVar = {"old_way": "use --color"}


def run(*given: str, internal: bool = False) -> Example:
    """Give a command line to a command made from the model; return what it read."""
    found: list[Example] = []

    def body(**options: object) -> None:
        found.append(read_options(Example, options))

    app = typer.Typer(add_completion=False)
    app.command()(with_signature(body, parameters(Example, "Options", internal=internal), "Do something."))
    ended = CliRunner().invoke(app, given)
    if ended.exception is not None:
        raise ended.exception
    return found[0]


def test_every_kind_of_option_is_read() -> None:
    given = ["--window=1h30m", "--slide", "90s", "--pause=0s", "--color=green", "--count=7", "--share=0.25"]
    given += ["--path=x/y", "--names=a", "--names=b", "--quick"]
    read = run(*given)
    assert (read.window, read.slide, read.pause) == (timedelta(minutes=90), timedelta(seconds=90), timedelta(0))
    assert (read.colour, read.count, read.share) == ("green", 7, 0.25)
    assert (str(read.path), read.names, read.quick) == ("x/y", ("a", "b"), True)
    assert run() == Example()


def test_arguments_are_read_back_as_the_same_options() -> None:
    options = Example(
        window=timedelta(seconds=1.5), slide=timedelta(days=1), names=("a", "b c"), quick=True, inner="x y"
    )
    assert run(*arguments(options), internal=True) == options
    assert arguments(Example()) == []
    assert arguments(options) == [
        "--window=1s500ms",
        "--slide=1d",
        "--names=a",
        "--names=b c",
        "--quick",
        "--inner=x y",
    ]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("--window=0s", "--window 0s: must be longer than 0"),
        ("--slide=soon", "--slide soon: not a length of time"),
        ("--color=gren", "--color gren: not one of red, green; did you mean 'green'?"),
        ("--count=0", "--count 0: input should be greater than or equal to 1"),
        ("--count=many", "--count many: input should be a valid integer"),
        ("--old-way=x", "--old-way is gone: use --color"),
        ("--old-way=", "--old-way is gone: use --color"),
    ],
)
def test_what_cannot_be_used_is_said_with_the_option_and_its_value(given: str, said: str) -> None:
    with pytest.raises(OptionError) as error:
        run(given)
    assert str(error.value).startswith(said)


def test_the_help_shows_descriptions_and_defaults_and_hides_what_is_internal() -> None:
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command()(with_signature(lambda **_: None, parameters(Example, "Options", internal=False), "Do something."))
    shown = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).output
    for text in ("Do something.", "--window LENGTH", "[default: 5m]", "[default: (the window)]", "--color TEXT"):
        assert text in shown
    assert "--inner" not in shown
    assert "--old-way" not in shown
