"""Typed option models: the field types for values that people write as text, and how a field becomes a flag.

The type of a field says how to read its text, so that the texts of a command line and the values of a program are
validated in the same way: a field of type ``Length`` accepts ``"5m"`` and ``timedelta(minutes=5)``, and refuses
anything else with a message that says what would be right.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict

from headrace.common.durations import parse_duration, parse_length
from headrace.common.suggest import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Flag:
    """Says how a field appears on a command line; put it into the field's annotation.

    Attributes:
        name: the name of the flag, without dashes; by default the field's name, with ``-`` for ``_``.
        panel: the heading under which the help lists the flag.
        internal: only the process of a job accepts the flag; the pipeline that starts the process sets it.
        shown_default: what the help shows as the default, if the program computes it.
    """

    name: str = ""
    panel: str = ""
    internal: bool = False
    shown_default: str = ""


class OptionModel(BaseModel):
    """Base class of all models that are filled from options. A model is frozen, and an unknown name is an error.

    Attributes:
        removed: options that earlier versions had, and for each the sentence that says what to do instead. A command
            line still takes them, hidden from its help, to answer with that sentence.
    """

    removed: ClassVar[Mapping[str, str]] = {}

    model_config = ConfigDict(frozen=True, extra="forbid")


def _read(parse: Callable[[str], Any]) -> BeforeValidator:
    """Apply ``parse`` to texts, and leave other values to the type of the field."""
    return BeforeValidator(lambda value: parse(value) if isinstance(value, str) else value)


def choice_of(*choices: str) -> BeforeValidator:
    """Return a validator that accepts one of ``choices``, and suggests the nearest one for any other text."""

    def check(text: str) -> str:
        if text not in choices:
            raise ValueError(f"not one of {', '.join(choices)}{did_you_mean(text, choices)}")
        return text

    return _read(check)


Length = Annotated[timedelta, _read(parse_length)]
"""A duration above zero."""
Duration = Annotated[timedelta, _read(parse_duration)]
"""A duration, which may be zero."""
