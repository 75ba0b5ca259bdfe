"""Starting, ready, draining: the state of a service that everyone looks at."""

import logging
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
        """Note that the service can't start or go on, and is to end; it may be ending already, and its workers too."""
        if self.state is State.DRAINING:
            return
        _log.error("%s", sentence)
        self.failure = sentence
