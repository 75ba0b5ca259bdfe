"""``galaxytree serve``. Its options are the fields of `Settings`: each one is an environment variable too."""

import logging.config
from typing import Any

import click

from app.logs import logging_config
from app.refusals import StartRefusedError
from app.settings import Settings
from galaxytree.options import options_of, settings_from

WRONG_CALL = 2


class _RefusedError(click.ClickException):
    exit_code = WRONG_CALL


@click.command("serve")
@options_of(Settings)
def serve(**given: Any) -> None:  # noqa: ANN401  (options of every type)
    """Serve a model over HTTP: galaxy images in, scores of the decision tree out."""
    settings = settings_from(Settings, given)
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
        app, host=settings.host, port=settings.port, http="httptools", server_header=False, log_config=None
    )
    lifecycle = app.state.service.lifecycle
    server = Server(config, lifecycle, settings.drain_seconds)
    server.run()
    if lifecycle.failure is not None:
        raise _RefusedError(lifecycle.failure)
    if server.second_signal is not None:
        raise SystemExit(128 + server.second_signal)
