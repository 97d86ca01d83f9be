"""Settings become rows that say what a key takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from docs.settings_reference import agent_values_page, allowed, cell, sections, shown, spark_options_page, table


class Inner(BaseModel):
    """An inner table."""

    size: Annotated[int, Field(gt=0)] = 20_000


class Outer(BaseModel):
    """A configuration."""

    inner: Inner = Inner()
    name: str = "x"


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (bool, "`true` or `false`"),
        (Literal["a", "b"], "`a`, `b`"),
        (Annotated[int, Field(ge=1, le=64)], "whole number from 1 to 64"),
        (Annotated[int, Field(ge=1, le=2**31 - 1)], "whole number from 1"),
        (Annotated[float, Field(gt=0)] | None, "number above 0"),
        (tuple[str, ...], "list: text"),
        (Path | None, "path"),
        (Inner | None, "table"),
    ],
)
def test_a_type_is_said_in_words(annotation: Any, words: str) -> None:
    assert allowed(annotation) == words


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "none"), (True, "`true`"), ((), "`[]`"), (("a", "b"), '`["a", "b"]`'), (16_384, "`16_384`")],
)
def test_a_default_is_shown_as_toml_has_it(value: object, text: str) -> None:
    assert shown(value) == text


def test_a_cell_is_one_line_and_cannot_end_its_column() -> None:
    assert table(("k", "v"), [("a", cell("x |\n  y"))]) == "| k | v |\n|---|---|\n| a | x \\| y |\n"


def test_tables_of_a_model_come_with_their_dotted_names() -> None:
    assert [(path, list(fields)) for path, _, fields in sections(Outer)] == [("", ["name"]), ("inner", ["size"])]


def test_an_option_without_a_default_says_what_holds_then() -> None:
    page = spark_options_page()
    assert "\n| `bridgeTimeout` | 30s | how long to retry while a bridge does not answer |\n" in page
    assert "\n| `bridges` | required | comma list of `host:port`," in page
    assert "\n| `rollup` | none | pane length; " in page


def test_choices_of_a_value_become_a_list_and_other_words_with_a_colon_do_not() -> None:
    page = agent_values_page()
    assert "\n- `rename`: " in page
    assert "\n- `memory`: " in page
    assert "\n- `batch`" not in page
