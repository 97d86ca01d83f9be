"""The tree of errors: each class has the exit code that the drawing gives it."""

from __future__ import annotations

import re

import headrace.errors
from headrace.errors import HeadraceError


def test_every_error_has_one_of_the_documented_exit_codes() -> None:
    classes = [value for value in vars(headrace.errors).values() if isinstance(value, type)]
    errors = [cls for cls in classes if issubclass(cls, HeadraceError)]
    assert {cls.exit_code for cls in errors} == {1, 2, 130}
    # The tree in the docstring gives the code of each class beside its name.
    drawn = dict(re.findall(r"^ *[│├└─ ]*(\w+) +(\d+)\b", headrace.errors.__doc__ or "", re.MULTILINE))
    assert drawn == {cls.__name__: str(cls.exit_code) for cls in errors}
