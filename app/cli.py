"""``galaxytree serve``. Its options are the fields of `Settings`: each one is an environment variable too."""

import logging.config
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from app.descriptors import raise_limit
from app.ending import end_without_stragglers
from app.listening import listen, listening
from app.logs import logging_config
from app.misspelt import check_variables
from app.refusals import StartRefusedError
from app.settings import ENV_PREFIX, Settings
from app.signals import heard_from_the_start
from galaxytree.options import options_of, settings_from

WRONG_CALL = 2


class _RefusedError(click.ClickException):
    exit_code = WRONG_CALL


@click.command("serve")
@options_of(Settings)
def serve(**given: Any) -> None:  # noqa: ANN401  (options of every type)
    """Serve a model over HTTP: galaxy images in, scores of the decision tree out."""
    settings = settings_from(Settings, given)
    logging.config.dictConfig(logging_config(settings.log_level, settings.log_format))
    try:
        check_variables(os.environ)
        # First the address: a port that is taken is to be known before anything that costs time.
        with (
            heard_from_the_start(),
            listening(settings.host, settings.port) as sockets,
            _inherited(f"{ENV_PREFIX}LOG_FORMAT", settings.log_format),
        ):
            _serve(settings, sockets)
    except StartRefusedError as error:
        raise _RefusedError(str(error)) from error
    end_without_stragglers()


@contextmanager
def _inherited(variable: str, value: str) -> Iterator[None]:
    """Have workers, which have no settings, find one in their environment, so that they log as the service does."""
    before = os.environ.get(variable)
    os.environ[variable] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[variable]
        else:
            os.environ[variable] = before


def _serve(settings: Settings, sockets: list[socket.socket]) -> None:
    # These take seconds to import, which `--help` and a wrong option need not wait for.
    from app.main import create_app  # noqa: PLC0415
    from app.server import server_of  # noqa: PLC0415

    raise_limit()
    app = create_app(settings)
    listen(sockets)
    server_of(app).run(sockets)
    failure = app.state.service.lifecycle.failure
    if failure is not None:
        raise StartRefusedError(failure)
