"""Makes command-line options from models: each option is declared once, as a field, and read in one way.

::

    class SessionsOptions(JobOptions):                     headrace job sessions --gap 20m
        gap: Length = Field(timedelta(minutes=30), ...)    python -m spark_job sessions --gap 20m

The text of an option goes to the model unchanged: only the model decides what it means and what is wrong with it.
:func:`arguments` does the reverse, for a program that starts another one.
"""

from __future__ import annotations

import inspect
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args, get_origin

import typer
from pydantic import ValidationError
from pydantic_core import PydanticUndefined

from headrace.common.durations import format_duration
from spark_job.errors import OptionError
from spark_job.options.model import Flag, OptionModel

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from pydantic.fields import FieldInfo

Model = TypeVar("Model", bound=OptionModel)


def flag_of(name: str, field: FieldInfo) -> Flag:
    """Return the flag of a field, with its name filled in."""
    flag = next((each for each in field.metadata if isinstance(each, Flag)), Flag())
    return Flag(flag.name or name.replace("_", "-"), flag.panel, flag.internal, flag.shown_default)


def parameters(
    model: type[OptionModel], panel: str, *, skip: Collection[str] = (), internal: bool
) -> list[inspect.Parameter]:
    """Return a typer parameter for each field of a model, and a hidden one for each option that was removed.

    Args:
        model: the model; the descriptions of its fields are the help texts.
        panel: the heading for fields that name none.
        skip: fields to leave out.
        internal: whether to include fields that only the process of a job accepts.
    """
    fields = [
        _parameter(name, field, flag, panel)
        for name, field in model.model_fields.items()
        for flag in [flag_of(name, field)]
        if name not in skip and (internal or not flag.internal)
    ]
    return [*fields, *(_hidden_parameter(name, sentence) for name, sentence in model.removed.items())]


def _parameter(name: str, field: FieldInfo, flag: Flag, panel: str) -> inspect.Parameter:
    taken: Any = str | None
    default: Any = None
    if field.annotation is bool:
        taken, default = bool, False
    elif _is_list(field):
        taken = list[str] | None
    required = field.is_required()
    if not required and default is None and not flag.shown_default:
        # As a text, so that the help shows it as a user would type it, and the model reads it in the same way.
        default = _text(field.default) or None
    option = typer.Option(
        f"--{flag.name}",
        help=field.description,
        rich_help_panel=flag.panel or panel,
        show_default=flag.shown_default or default is not None,
        metavar=None if taken is bool else _metavar(field),
    )
    annotation = Annotated[taken, option] if not required else Annotated[str, option]
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if required else default,
        annotation=annotation,
    )


def _hidden_parameter(name: str, sentence: str) -> inspect.Parameter:
    option = typer.Option(f"--{name.replace('_', '-')}", hidden=True, help=f"Gone: {sentence}")
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[str | None, option]
    )


def with_signature(
    body: Callable[..., None], taken: Sequence[inspect.Parameter], help_text: str
) -> Callable[..., None]:
    """Return ``body`` as a function with exactly these parameters, since typer reads a command from a signature."""

    def command(**given: Any) -> None:
        body(**given)

    command.__doc__ = help_text
    command.__signature__ = inspect.Signature(list(taken))  # type: ignore[attr-defined] # known to inspect, not to mypy
    command.__annotations__ = {each.name: each.annotation for each in taken}
    return command


def read_options(model: type[Model], given: Mapping[str, Any]) -> Model:
    """Make a model from given options; None and empty lists stand for options that were not given.

    Raises:
        OptionError: an option cannot be used, or was removed; the text names it and says what would be right.
    """
    for name, sentence in model.removed.items():
        if given.get(name) is not None:
            raise OptionError(f"--{name.replace('_', '-')} is gone: {sentence}")
    named = {
        name: value for name, value in given.items() if name in model.model_fields and value is not None and value != []
    }
    try:
        return model(**named)
    except ValidationError as error:
        first = error.errors()[0]
        reason = first.get("ctx", {}).get("error") or _lower_first(first["msg"])
        if not first["loc"]:
            raise OptionError(str(reason)) from None
        name = str(first["loc"][0])
        option = f"--{flag_of(name, model.model_fields[name]).name}"
        value = f" {named[name]}" if isinstance(named.get(name), str) else ""
        raise OptionError(f"{option}{value}: {reason}") from None


def arguments(options: OptionModel) -> list[str]:
    """Return the command-line arguments that :func:`read_options` reads back as ``options``."""
    found = []
    for name, field in type(options).model_fields.items():
        value = getattr(options, name)
        option = f"--{flag_of(name, field).name}"
        if value == field.get_default(call_default_factory=True) or value is None:
            continue
        if isinstance(value, bool):
            found.append(option)
        elif isinstance(value, tuple):
            found += [f"{option}={_text(each)}" for each in value]
        else:
            found.append(f"{option}={_text(value)}")
    return found


def default_text(model: type[OptionModel], field: str) -> str:
    """Return the default of a model's field as people write it, for options that are declared by hand."""
    return _text(model.model_fields[field].default)


def _text(value: object) -> str:
    if value is None or value is PydanticUndefined:
        return ""
    if isinstance(value, timedelta):
        return format_duration(value)
    return ", ".join(map(_text, value)) if isinstance(value, tuple) else str(value)


def _is_list(field: FieldInfo) -> bool:
    return get_origin(field.annotation) in (list, tuple)


def _metavar(field: FieldInfo) -> str:
    kinds = {timedelta: "LENGTH", Path: "PATH", int: "NUMBER", float: "NUMBER"}
    within = get_args(field.annotation)
    candidates = [field.annotation, *within, *(part for each in within for part in get_args(each))]
    return next((kinds[kind] for kind in candidates if isinstance(kind, type) and kind in kinds), "TEXT")


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
