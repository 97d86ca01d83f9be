"""The types of options that people write as text: lengths of time, choices, sinks; and how an option looks to them.

A model's field carries its reader in its type, so that the text of a command line and the value of a program go the
same way: ``Length("5m")`` and ``timedelta(minutes=5)`` are both taken, anything else is refused with what would be
right.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

from headrace.common.durations import parse_duration, parse_length
from headrace.common.suggest import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Flag:
    """How a field appears on a command line; part of its annotation.

    Attributes:
        name: the option's name without dashes; by default the field's, with ``-`` for ``_``.
        panel: heading under which the help lists it.
        internal: only the process of a job takes it; the pipeline that starts the process fills it in.
        shown_default: what the help says where the default is computed.
    """

    name: str = ""
    panel: str = ""
    internal: bool = False
    shown_default: str = ""


class OptionModel(BaseModel):
    """Base of everything that is filled from options: frozen, and an unknown name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _read(parse: Callable[[str], Any]) -> BeforeValidator:
    """Apply ``parse`` to texts; other values are for the type to judge."""
    return BeforeValidator(lambda value: parse(value) if isinstance(value, str) else value)


def choice_of(*choices: str) -> BeforeValidator:
    """Return a validator that takes one of ``choices`` and names the nearest one to anything else."""

    def check(text: str) -> str:
        if text not in choices:
            raise ValueError(f"not one of {', '.join(choices)}{did_you_mean(text, choices)}")
        return text

    return _read(check)


Length = Annotated[timedelta, _read(parse_length)]
"""A length of time above zero."""
Duration = Annotated[timedelta, _read(parse_duration)]
"""A length of time, zero included."""
