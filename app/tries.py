"""How workers are tried again to start: after a while that grows, and not for ever."""

from collections.abc import Callable

RETRY_SECONDS = (0.5, 30.0)
"""The first and the longest time until it is tried again to replace a worker; each is twice the one before."""

WITHOUT_SECONDS = 60.0
"""For how long it is tried while no worker is left; and a worker that lasted so long was of use, whatever it did."""


class Tries:
    """Since when workers were started in vain: none could be, or they died before they were of use.

    Parameters
    ----------
    clock
        Returns the time, in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since: float | None = None

    @property
    def in_vain(self) -> bool:
        """Whether the last one was in vain."""
        return self._since is not None

    @property
    def over(self) -> bool:
        """Whether that has been so for too long."""
        return self._since is not None and self._clock() - self._since >= WITHOUT_SECONDS

    def note(self, *, in_vain: bool) -> None:
        """Note whether one was in vain."""
        if not in_vain:
            self._since = None
        elif self._since is None:
            self._since = self._clock()

    def lasted(self, began: float) -> bool:
        """Whether what began then has lasted for long enough to have been of use."""
        return self._clock() - began >= WITHOUT_SECONDS


def pause_after(in_vain: int) -> float:
    """Return for how many seconds to wait once it was tried in vain so often; not at all the first time."""
    first, longest = RETRY_SECONDS
    return min(first * 2.0 ** min(in_vain - 1, 60), longest) if in_vain else 0.0
