"""Starting, ready, draining: what the service is in, and the server that walks it through.

On SIGTERM or SIGINT ``/health/ready`` says 503 at once, while requests are still served for some seconds, so that a
load balancer can take the service out. Then no connections are taken any more, what is in flight is finished, and the
process ends with exit status 0. A second signal ends it now.
"""

import logging
import signal
from enum import StrEnum
from time import monotonic
from types import FrameType

import uvicorn

_log = logging.getLogger(__name__)


class State(StrEnum):
    """Where a service is between its start and its end."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"


class Lifecycle:
    """The state that everyone looks at.

    Attributes
    ----------
    state
        Where the service is between its start and its end.
    failure
        The sentence with which its start failed, if it did.
    """

    def __init__(self) -> None:
        self.state = State.STARTING
        self.failure: str | None = None

    def ready(self) -> None:
        """Note that the model is loaded and warmed up."""
        if self.state is State.STARTING:
            self.state = State.READY

    def drain(self) -> None:
        """Note that the service was asked to end."""
        self.state = State.DRAINING

    def fail(self, sentence: str) -> None:
        """Note that the service can't start, and is to end."""
        _log.error("%s", sentence)
        self.failure = sentence


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
        self._ends_at: float | None = None
        self.second_signal: int | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 (uvicorn's signature)
        """Begin to drain; on a second signal, end."""
        name = signal.Signals(sig).name
        if self._ends_at is not None:
            _log.warning("%s again: ending now", name)
            self.second_signal = sig
            self.should_exit = self.force_exit = True
            return
        # While starting there is nothing to be served on.
        seconds = self._drain_seconds if self._lifecycle.state is State.READY else 0.0
        _log.info("%s: serving on for %g s, then finishing what is in flight", name, seconds)
        self._ends_at = monotonic() + seconds
        self._lifecycle.drain()

    async def on_tick(self, counter: int) -> bool:
        """Say whether it is time to take no more connections."""
        over = self._ends_at is not None and monotonic() >= self._ends_at
        return await super().on_tick(counter) or over or self._lifecycle.failure is not None
