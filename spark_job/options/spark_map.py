"""Reads options from Spark's map of texts, and refuses unknown ones with the nearest that exists."""

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
    """Reads the options of one source or sink; names are case-insensitive, as in Spark.

    Args:
        options: Spark's map.
        known: the names of all options, as the documentation spells them.

    Raises:
        OptionError: an option is not in ``known``, or is a token.
    """

    def __init__(self, options: Mapping[str, str], known: tuple[str, ...]) -> None:
        self._given = {name.lower(): value for name, value in options.items()}
        names = {name.lower() for name in known}
        for given in options:
            if given.lower() in ("token", "bearertoken"):
                raise OptionError(f"option {given}: a token in an option shows up in plans and logs; use tokenFile")
            if given.lower() not in names:
                # Without a cutoff, so that the message always leads to an option that exists.
                raise OptionError(f"unknown option {given!r}{did_you_mean(given, known, cutoff=0.0)}")

    def value(self, name: str, parse: Callable[[str], T]) -> T | None:
        """Return the parsed value; None if the option is not set.

        Args:
            name: the name of the option.
            parse: reads the text. The text of its ValueError says which values are right.

        Raises:
            OptionError: ``parse`` raised a ValueError.
        """
        text = self._given.get(name.lower())
        if text is None:
            return None
        try:
            return parse(text)
        except ValueError as error:
            raise OptionError(f"option {name}={text!r}: {error}") from None

    def text(self, name: str, default: str) -> str:
        """Return the text unchanged; ``default`` if the option is not set or empty."""
        return self.value(name, str) or default

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        """Return one of ``choices``, in lower case; the first one is the default."""

        def parse(text: str) -> str:
            if text.lower() not in choices:
                raise ValueError(f"one of {', '.join(choices)}")
            return text.lower()

        return self.value(name, parse) or choices[0]

    def flag(self, name: str, *, default: bool) -> bool:
        """Return the value of a flag: the text ``true`` or ``false``, in any case."""
        value = self.value(name, _boolean)
        return default if value is None else value


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError("true or false")
    return text.lower() == "true"


def positive(text: str) -> int:
    """Read a whole number above 0.

    Raises:
        ValueError: the text is none.
    """
    if not re.fullmatch(r"[0-9]{1,18}", text.strip(), re.ASCII) or int(text) == 0:
        raise ValueError("a whole number above 0")
    return int(text)


def existing_file(text: str) -> Path:
    """Read the name of a file that exists.

    Raises:
        ValueError: this machine has no such file.
    """
    path = Path(text)
    if not path.is_file():
        raise ValueError("no such file on this machine; the driver and every executor read it from this path")
    return path
