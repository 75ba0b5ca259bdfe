"""What speaks HTTP, and how it ends.

On SIGTERM or SIGINT ``/health/ready`` says 503 at once, while requests are still served for some seconds, so that a
load balancer can take the service out. Then no connections are taken any more, what is in flight is finished, and the
process ends with exit status 0. A second signal ends it now. SIGHUP has it look for new models.
"""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from time import monotonic
from types import FrameType
from typing import cast

import uvicorn
import uvicorn.server
from fastapi import FastAPI

from app.bounded import Bounds
from app.ending import end_now
from app.lifecycle import Lifecycle, State
from app.listening import url_of
from app.main import front_of
from app.processes import kill_workers
from app.protocol import Protocol, protocol_of
from app.signals import call_on_hangup

REPEAT_SECONDS = 0.3
"""A signal that comes again this soon is the same one: make and process managers pass on what the whole group got."""

GIVING_UP_SECONDS = 1.0
"""So much longer than an answer may take is waited at the end for those that don't send or read."""

LAST_SECONDS = 0.1
"""In which what has come to this machine is read, before connections that are idle are closed."""

LAST_LOOKS = 10
"""So often that time is given, at most, while some were let in and have not asked for anything yet."""

_log = logging.getLogger(__name__)


class ServerState(uvicorn.server.ServerState):
    """What connections know of their server.

    Attributes
    ----------
    draining
        Whether it is about to end.
    """

    draining = False


class Server(uvicorn.Server):
    """uvicorn's server, which drains before it ends.

    Parameters
    ----------
    config : uvicorn.Config
    lifecycle : Lifecycle
        The application's.
    drain_seconds : float
        How long requests are served on after the first signal.
    finish_seconds : float
        How long, after that, what is in flight may take to be finished.
    reload : callable
        Has new models take the places of old ones, and says in the log what came of it.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        lifecycle: Lifecycle,
        drain_seconds: float,
        finish_seconds: float,
        reload: Callable[[], Coroutine[None, None, None]],
    ) -> None:
        super().__init__(config)
        self.server_state = self._state = ServerState()
        self._lifecycle = lifecycle
        self._drain_seconds = drain_seconds
        self._finish_seconds = finish_seconds
        self._reload = reload
        self._reloads: set[asyncio.Task[None]] = set()
        self._asked_at: float | None = None
        self._ends_at: float | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application, listen, and say where."""
        self._lifecycle.addresses = tuple(url_of(each) for each in sockets or ())
        await super().startup(sockets)
        loop = asyncio.get_running_loop()

        def hung_up() -> None:
            # It may come when all is over.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._begin_reload)

        call_on_hangup(hung_up, lambda: self.handle_exit(signal.SIGHUP, None))
        for each in self._lifecycle.addresses:
            _log.info("running on %s", each)

    def _begin_reload(self) -> None:
        _log.info("SIGHUP: looking for new models")
        task = asyncio.ensure_future(self._reload())
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)

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
        self._state.draining = True

    async def on_tick(self, counter: int) -> bool:
        """Say whether it is time to take no more connections."""
        over = self._ends_at is not None and monotonic() >= self._ends_at
        return await super().on_tick(counter) or over or self._lifecycle.failure is not None

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, and finish what is in flight."""
        self._lifecycle.end()
        await self._let_in_the_last(sockets or [])
        cutting = asyncio.get_running_loop().call_later(self._finish_seconds, self._cut_off)
        await super().shutdown(sockets)
        cutting.cancel()
        self._lifecycle.tell_end()

    async def _let_in_the_last(self, sockets: list[socket.socket]) -> None:
        """Have nobody come to the door any more; who is there already is let in, and heard."""
        for each in sockets:
            each.listen(0)
        for _ in range(LAST_LOOKS):
            await asyncio.sleep(LAST_SECONDS)
            if all(each.cycle is not None for each in self._connections()):
                break

    def _connections(self) -> list[Protocol]:
        return cast("list[Protocol]", list(self.server_state.connections))

    def _cut_off(self) -> None:
        """Close the connections of those who still don't send, or don't read: what came whole has had its time."""
        left = self._connections()
        _log.warning("cutting off %d connections that didn't come to their end", len(left))
        for connection in left:
            connection.transport.abort()


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
    settings = service.settings
    # What came whole has its answer by then, or was told that it took too long.
    most = settings.request_timeout_seconds + GIVING_UP_SECONDS
    return Server(config, service.lifecycle, settings.drain_seconds, most, service.reloader.reload_and_log)
