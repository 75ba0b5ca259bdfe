"""``galaxytree serve``. Its options are the fields of `Settings`: each one is an environment variable too."""

import logging.config
from typing import Any, Literal, get_args, get_origin

import click
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from app.logs import logging_config
from app.refusals import StartRefusedError
from app.settings import ENV_PREFIX, Settings

WRONG_CALL = 2
_UNITS = ("bytes", "images", "pixels", "seconds")


class _RefusedError(click.ClickException):
    exit_code = WRONG_CALL


def _option(name: str, field: FieldInfo) -> click.Option:
    default = "not set" if field.default is None else str(field.default)
    return click.Option(
        [f"--{name.replace('_', '-')}", name],
        envvar=f"{ENV_PREFIX}{name.upper()}",
        show_envvar=True,
        help=f"{field.description}. [default: {default}]",
        metavar=_metavar(name, field),
    )


def _metavar(name: str, field: FieldInfo) -> str:
    if get_origin(field.annotation) is Literal:
        return "|".join(get_args(field.annotation))
    unit = name.rpartition("_")[2]
    if unit in _UNITS:
        return unit.upper()
    return "NUMBER" if isinstance(field.default, int) else "TEXT" if isinstance(field.default, str) else "PATH"


def _settings(given: dict[str, Any]) -> Settings:
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        where = f"{name} (--{name.replace('_', '-')}, {ENV_PREFIX}{name.upper()}): " if name else ""
        msg = f"{where}{first['msg'].removeprefix('Value error, ')}"
        raise _RefusedError(msg) from error


def _serve(**given: str | None) -> None:
    """Serve a model over HTTP: galaxy images in, scores of the decision tree out."""
    settings = _settings(given)
    logging.config.dictConfig(logging_config(settings.log_level))
    # These take seconds to import, which `--help` and a wrong option need not wait for.
    import uvicorn  # noqa: PLC0415

    from app.lifecycle import Server  # noqa: PLC0415
    from app.main import create_app  # noqa: PLC0415

    try:
        app = create_app(settings)
    except StartRefusedError as error:
        raise _RefusedError(str(error)) from error
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http="httptools",
        ws="none",
        server_header=False,
        log_config=None,
    )
    lifecycle = app.state.service.lifecycle
    server = Server(config, lifecycle, settings.drain_seconds)
    server.run()
    if lifecycle.failure is not None:
        raise _RefusedError(lifecycle.failure)
    if server.second_signal is not None:
        raise SystemExit(128 + server.second_signal)


serve = click.Command(
    "serve",
    callback=_serve,
    params=[_option(name, field) for name, field in Settings.model_fields.items()],
    help=_serve.__doc__,
)
"""The command; ``galaxytree`` finds it through the entry points."""
