"""Takes options out of Spark's map of texts; an unknown one is refused with the nearest that exists."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from headrace.common.suggest import did_you_mean
from spark_job.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")


class OptionReader:
    """Takes options out of Spark's map one by one.

    Raises:
        OptionError: one is not among ``known``.
    """

    def __init__(self, options: Mapping[str, str], known: tuple[str, ...]) -> None:
        self._given = {name.lower(): value for name, value in options.items()}
        names = {name.lower() for name in known}
        for given in options:
            if given.lower() in ("token", "bearertoken"):
                raise OptionError(f"option {given}: a token in an option shows up in plans and logs; use tokenFile")
            if given.lower() not in names:
                # No cutoff: the list of all options is long, and the nearest one is a start.
                raise OptionError(f"unknown option {given!r}{did_you_mean(given, known, cutoff=0.0)}")

    def value(self, name: str, parse: Callable[[str], T]) -> T | None:
        """Return the parsed value, or None when the option is not given.

        Raises:
            OptionError: ``parse`` raised a ValueError, whose text says what would be right.
        """
        text = self._given.get(name.lower())
        if text is None:
            return None
        try:
            return parse(text)
        except ValueError as error:
            raise OptionError(f"option {name}={text!r}: {error}") from None

    def text(self, name: str, default: str) -> str:
        """Return the text as it is."""
        return self.value(name, str) or default

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        """Return one of ``choices``; the first one is the default."""

        def parse(text: str) -> str:
            if text.lower() not in choices:
                raise ValueError(f"one of {', '.join(choices)}")
            return text.lower()

        return self.value(name, parse) or choices[0]

    def flag(self, name: str, *, default: bool) -> bool:
        """Return true or false."""
        value = self.value(name, _boolean)
        return default if value is None else value


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError("true or false")
    return text.lower() == "true"


def positive(text: str) -> int:
    """Read a whole number above 0; a ValueError says what would be right."""
    if not re.fullmatch(r"[0-9]{1,18}", text.strip(), re.ASCII) or int(text) == 0:
        raise ValueError("a whole number above 0")
    return int(text)


def existing_file(text: str) -> Path:
    """Read the name of a file that is there; a ValueError says what is wrong."""
    path = Path(text)
    if not path.is_file():
        raise ValueError("no such file on this machine; the driver and every executor read it from this path")
    return path
