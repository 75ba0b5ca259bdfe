"""What every scenario is given."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.client import post, run
from benchmarks.loads import Job, closed_loop, in_turn
from benchmarks.percentiles import Percentiles
from benchmarks.serving import Server, serving
from benchmarks.systems import System

_WARM_UP_LINES = 8


@dataclass(frozen=True)
class Setting:
    """A service, what is sent to it, and how long.

    Attributes
    ----------
    limit
        Images a second that this machine can do, measured just before.
    scale
        By how much everything is shortened; 1 for what the table asks.
    """

    system: System
    images: tuple[bytes, ...]
    limit: float
    scale: float = 1.0

    @property
    def requests(self) -> list[bytes]:
        """Return the images as whole requests."""
        return [post(self.system.path, image) for image in self.images]

    def jobs(self) -> Iterator[Job]:
        """Return the requests, again and again."""
        return in_turn(self.requests)

    @contextmanager
    def warm(self) -> Iterator[Server]:
        """Start the service, and have it answer for a moment."""
        with serving(self.system, self.images[0]) as server:
            run(closed_loop(server.port, self.jobs(), _WARM_UP_LINES, seconds=min(2.0, 4 * self.scale)))
            yield server

    def lone(self, server: Server) -> Percentiles:
        """Measure requests that come one after the other, with nothing beside them."""
        exchanges, _ = run(closed_loop(server.port, self.jobs(), 1, seconds=max(1.0, 3 * self.scale)))
        return Percentiles.of([each.seconds for each in exchanges if each.status == 200])
