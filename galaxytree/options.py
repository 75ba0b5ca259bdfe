"""Command-line options that derive from a settings class: one place for name, unit, default and help of each.

A field ``batch_size`` of a class with the environment prefix ``GALAXYTREE_TRAIN_`` becomes the option ``--batch-size``
and the variable ``GALAXYTREE_TRAIN_BATCH_SIZE``; its description becomes the help.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar, get_args, get_origin

import click
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

Command = TypeVar("Command", bound=Callable[..., Any])
Settings = TypeVar("Settings", bound=BaseModel)

_UNITS = {"bytes", "images", "pixels", "seconds", "steps", "epochs"}


class Options(BaseModel):
    """Base of settings that are given as options or environment variables.

    Attributes
    ----------
    env_prefix
        What the names of the environment variables start with.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    env_prefix: ClassVar[str]


def env_prefix_of(settings: type[BaseModel]) -> str:
    """Return what the variables' names start with: of `Options`, or as pydantic-settings has it."""
    if issubclass(settings, Options):
        return settings.env_prefix
    return str(settings.model_config.get("env_prefix", ""))


def options_of(settings: type[BaseModel]) -> Callable[[Command], Command]:
    """Give a click command one option for each field of a settings class."""

    def decorate(command: Command) -> Command:
        for name, field in reversed(settings.model_fields.items()):
            command = _option(name, field, env_prefix_of(settings))(command)
        return command

    return decorate


def settings_from(settings: type[Settings], given: dict[str, Any]) -> Settings:
    """Make settings from what a command was given.

    Raises
    ------
    click.UsageError
        If a value does not fit; the message names the option and the variable.
    """
    try:
        return settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        complaints = [_complaint(each["loc"], each["msg"], env_prefix_of(settings)) for each in error.errors()]
        raise click.UsageError("; ".join(complaints)) from error


def _complaint(place: tuple[int | str, ...], message: str, env_prefix: str) -> str:
    message = message.removeprefix("Value error, ")
    if not place:
        return message
    name = str(place[0])
    return f"{_flag(name)} ({env_prefix}{name.upper()}): {message}"


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _option(name: str, field: FieldInfo, env_prefix: str) -> Callable[[Command], Command]:
    flag = _flag(name)
    kind, flags = _kind(field.annotation)
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    unit = name.rpartition("_")[2]
    return click.option(
        f"{flag}/--no-{flag[2:]}" if flags else flag,
        name,
        type=kind,
        metavar=unit.upper() if unit in _UNITS else None,
        default=default,
        show_default="not set" if default is None and not field.is_required() else True,
        required=field.is_required(),
        envvar=env_prefix + name.upper(),
        show_envvar=True,
        help=field.description,
    )


def _kind(annotation: Any) -> tuple[click.ParamType[Any] | type, bool]:  # noqa: ANN401  (any type expression at all)
    """Return the click type for a field's type, and whether it is a flag."""
    possible = [each for each in get_args(annotation) if each is not type(None)]
    if get_origin(annotation) is Literal:
        return click.Choice([str(each) for each in possible]), False
    if possible:
        return _kind(possible[0])
    if annotation is bool:
        return click.BOOL, True
    if annotation is Path:
        return click.Path(path_type=Path), False
    return annotation, False
