"""Declares the options of a Spark format, and reads them from Spark's map of texts.

An unknown option is refused with the nearest that exists.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from headrace.common.suggest import did_you_mean
from spark_job.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

T = TypeVar("T")


@dataclass(frozen=True)
class SparkOption:
    """One option of a source or sink. Reader and reference page both follow it.

    Attributes:
        name: as the documentation spells it.
        meaning: for the reference page, in Markdown.
        default: the text that counts where the option is not set; None if there is none.
        if_not_set: what the reference page shows as the default where there is none.
        values: all texts that the option takes; empty if a function has to read them.
    """

    name: str
    meaning: str
    default: str | None = None
    if_not_set: str = "none"
    values: tuple[str, ...] = ()


class OptionReader:
    """Reads the options of one source or sink; names are case-insensitive, as in Spark.

    Args:
        options: Spark's map.
        known: all options of the source or sink.

    Raises:
        OptionError: an option is not in ``known``, or is a token.
    """

    def __init__(self, options: Mapping[str, str], known: Iterable[SparkOption]) -> None:
        self._given = {name.lower(): value for name, value in options.items()}
        self._known = {option.name: option for option in known}
        names = {name.lower() for name in self._known}
        for given in options:
            if given.lower() in ("token", "bearertoken"):
                raise OptionError(f"option {given}: a token in an option shows up in plans and logs; use tokenFile")
            if given.lower() not in names:
                # Without a cutoff, so that the message always leads to an option that exists.
                raise OptionError(f"unknown option {given!r}{did_you_mean(given, self._known, cutoff=0.0)}")

    def optional(self, name: str, parse: Callable[[str], T]) -> T | None:
        """Return the parsed value; None if the option is not set and has no default.

        Args:
            name: the name of the option.
            parse: reads the text. The text of its ValueError says which values are right.

        Raises:
            OptionError: ``parse`` raised a ValueError.
        """
        text = self._given.get(name.lower(), self._known[name].default)
        if text is None:
            return None
        try:
            return parse(text)
        except ValueError as error:
            raise OptionError(f"option {name}={text!r}: {error}") from None

    def value(self, name: str, parse: Callable[[str], T]) -> T:
        """Return the parsed value of an option that has a default.

        Raises:
            OptionError: ``parse`` raised a ValueError.
            LookupError: the option is declared without a default.
        """
        if self._known[name].default is None:
            raise LookupError(f"option {name} has no default: read it with optional()")
        return cast("T", self.optional(name, parse))

    def text(self, name: str) -> str:
        """Return the text unchanged; the default, or an empty text, if the option is not set or empty."""
        return self.optional(name, str) or self._known[name].default or ""

    def choice(self, name: str) -> str:
        """Return one of the values that the option takes, in lower case."""
        values = self._known[name].values

        def parse(text: str) -> str:
            if text.lower() not in values:
                raise ValueError(f"one of {', '.join(values)}")
            return text.lower()

        return self.value(name, parse)

    def flag(self, name: str) -> bool:
        """Return the value of a flag that has a default."""
        return self.value(name, boolean)


def boolean(text: str) -> bool:
    """Read ``true`` or ``false``, in any case.

    Raises:
        ValueError: the text is neither.
    """
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
