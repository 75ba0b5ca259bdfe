"""Starting, ready, draining: the state of a service that everyone looks at."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum

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
    addresses
        URLs at which it is reached.
    """

    def __init__(self) -> None:
        self.state = State.STARTING
        self.failure: str | None = None
        self.addresses: tuple[str, ...] = ()
        self._ending = False
        self._to_end: set[Callable[[], object]] = set()
        self._broken_off: list[int] = []

    def ready(self) -> None:
        """Note that the model is loaded and warmed up."""
        if self.state is State.STARTING:
            self.state = State.READY

    def drain(self) -> None:
        """Note that the service was asked to end."""
        self.state = State.DRAINING

    def fail(self, sentence: str) -> None:
        """Note that the service can't start or go on, and is to end; it may be ending already, and its workers too."""
        if self.state is State.DRAINING:
            return
        _log.error("%s", sentence)
        self.failure = sentence

    @contextmanager
    def calling_at_end(self, act: Callable[[], object]) -> Iterator[None]:
        """Call a function, in the event loop, if the service finishes what is in flight before the ``with`` block ends.

        That is for what could go on for hours. Where it has begun to already, the function is called at once.
        """
        if self._ending:
            act()
        self._to_end.add(act)
        try:
            yield
        finally:
            self._to_end.discard(act)

    def end(self) -> None:
        """Note that no more is taken on, and that what is in flight is to be finished."""
        self._ending = True
        for act in tuple(self._to_end):
            act()

    def broke_off(self, items: int) -> None:
        """Note a batch that was not done in time, and of how many items it had results."""
        self._broken_off.append(items)

    def tell_end(self) -> None:
        """Say in the log what was broken off, now that all is over."""
        if self._broken_off:
            batches, items = len(self._broken_off), sum(self._broken_off)
            _log.warning("broke off %d batches that were not done in time, with %d items done", batches, items)
