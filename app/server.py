"""What speaks HTTP, and how it ends.

On SIGTERM or SIGINT ``/health/ready`` says 503 at once, while requests are still served for some seconds, so that a
load balancer can take the service out. Then no connections are taken any more, what is in flight is finished, and the
process ends with exit status 0. A second signal ends it now.
"""

import logging
import signal
import socket
from time import monotonic
from types import FrameType
from typing import cast

import uvicorn
from fastapi import FastAPI

from app.bounded import Bounds
from app.ending import end_now
from app.lifecycle import Lifecycle, State
from app.listening import url_of
from app.main import front_of
from app.processes import kill_workers
from app.protocol import protocol_of

REPEAT_SECONDS = 0.3
"""A signal that comes again this soon is the same one: make and process managers pass on what the whole group got."""

_log = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """uvicorn's server, which drains before it ends.

    Parameters
    ----------
    config : uvicorn.Config
    lifecycle : Lifecycle
        The application's.
    drain_seconds : float
        How long requests are served on after the first signal.
    """

    def __init__(self, config: uvicorn.Config, lifecycle: Lifecycle, drain_seconds: float) -> None:
        super().__init__(config)
        self._lifecycle = lifecycle
        self._drain_seconds = drain_seconds
        self._asked_at: float | None = None
        self._ends_at: float | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application, listen, and say where."""
        await super().startup(sockets)
        for each in sockets or ():
            _log.info("running on %s", url_of(each))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 (uvicorn's signature)
        """Begin to drain; on a second signal, end."""
        name = signal.Signals(sig).name
        if self._asked_at is not None:
            if monotonic() - self._asked_at < REPEAT_SECONDS:
                return
            _log.warning("%s again: ending now", name)
            # From here and not after `run`, which waits for open connections.
            # A worker that hangs would be left behind.
            kill_workers()
            end_now(128 + sig)
        # While starting there is nothing to be served on.
        seconds = self._drain_seconds if self._lifecycle.state is State.READY else 0.0
        _log.info("%s: serving on for %g s, then finishing what is in flight; once more to end now", name, seconds)
        self._asked_at = monotonic()
        self._ends_at = self._asked_at + seconds
        self._lifecycle.drain()

    async def on_tick(self, counter: int) -> bool:
        """Say whether it is time to take no more connections."""
        over = self._ends_at is not None and monotonic() >= self._ends_at
        return await super().on_tick(counter) or over or self._lifecycle.failure is not None

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, and finish what is in flight."""
        self._lifecycle.end()
        await super().shutdown(sockets)


def server_of(app: FastAPI) -> Server:
    """Return the server of an application that `create_app` made."""
    service = app.state.service
    config = uvicorn.Config(
        front_of(app),
        http=protocol_of(Bounds.of(service.settings)),
        # There are none here, and a request that asks for one is a request like any other.
        ws="none",
        server_header=False,
        # It is read from the end, and from those only that are known: `app.proxies`.
        proxy_headers=False,
        timeout_keep_alive=cast("int", service.settings.keep_alive_seconds),  # it need not be whole
        # One by logging would cost more than all else that is done for it in this thread: see app.telemetry.access_log.
        access_log=service.settings.log_level == "debug",
        log_config=None,
    )
    return Server(config, service.lifecycle, service.settings.drain_seconds)
