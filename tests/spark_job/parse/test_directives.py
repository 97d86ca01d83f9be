"""The directives of LogFormat: their fields, and the suggestion for one that does not exist."""

from __future__ import annotations

import re

import pytest

from spark_job.parse.directives import DIRECTIVE, field_of, suggestion


@pytest.mark.parametrize(
    ("letter", "argument", "final", "role", "rank"),
    [
        ("h", None, False, "host", 0),
        ("a", None, False, "host", 1),
        ("a", "c", False, "host", 1),
        ("s", None, False, "status", 1),
        ("s", None, True, "status", 0),
        ("i", "REFERER", False, "referrer", 0),
        ("i", "X-Forwarded-For", False, "", 0),
        ("T", "ms", False, "duration", 2),
    ],
)
def test_a_directive_feeds_its_role(letter: str, argument: str | None, final: bool, role: str, rank: int) -> None:  # noqa: FBT001
    field = field_of(letter, argument, final=final)
    assert field is not None
    assert (field.role, field.rank) == (role, rank)


@pytest.mark.parametrize(("letter", "argument"), [("y", None), ("T", "ns"), ("s", "x"), ("^xx", None)])
def test_other_directives_do_not_exist(letter: str, argument: str | None) -> None:
    assert field_of(letter, argument, final=False) is None


@pytest.mark.parametrize(
    ("letter", "text", "taken"),
    [
        ("b", "203023", True),
        ("b", "-", True),
        ("b", "1" * 19, False),
        ("b", "", False),
        ("s", "404", True),
        ("s", "4040", False),
        ("u", '""', True),
        ("u", "frank zappa", True),
        ("u", r"\"frank\"", True),
        ("u", '"', False),
        ("X", "+", True),
        ("X", "++", False),
    ],
)
def test_a_field_takes_what_apache_writes(letter: str, text: str, taken: bool) -> None:  # noqa: FBT001
    field = field_of(letter, None, final=False)
    assert field is not None
    assert (re.fullmatch(field.pattern, text) is not None) is taken


def test_modifiers_and_arguments_are_told_apart() -> None:
    found = DIRECTIVE.match("%!200,304{Referer}i")
    assert found is not None
    assert (found["modifiers"], found["argument"], found["letter"]) == ("!200,304", "Referer", "i")
    assert DIRECTIVE.match("%^FB") is not None
    assert DIRECTIVE.match("100%") is None


def test_the_nearest_directive_is_suggested_and_a_far_one_is_not() -> None:
    assert suggestion("%{Referrer}i") == "; did you mean '%{Referer}i'?"
    assert suggestion("no directive at all, but a long text") == ""
