"""Those who wait for their answer, in the order in which they came: whose time is over, and who has waited longest."""

import asyncio
from collections import deque
from collections.abc import Callable

from app.waiting import Entry


class Expiring:
    """All have the same time. It belongs to the event loop's thread.

    Parameters
    ----------
    over
        Is told of each entry whose time is over, and that still waits.
    """

    def __init__(self, over: Callable[[Entry], object]) -> None:
        self._over = over
        self._loop = asyncio.get_running_loop()
        self._entries: deque[Entry] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def put(self, entry: Entry) -> None:
        """Watch an entry."""
        while self._entries and self._entries[0].gone:
            self._entries.popleft()
        self._entries.append(entry)
        if self._timer is None:
            self._timer = self._loop.call_at(entry.expires, self._look)

    def oldest_seconds(self) -> float:
        """Return for how long the entry has waited that has waited the longest; 0 if none waits."""
        since = next((entry.since for entry in self._entries if not entry.gone), None)
        return 0.0 if since is None else self._loop.time() - since

    def close(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        """Tell of those whose time is over, and look again when the next one's is."""
        now = self._loop.time()
        while self._entries and (self._entries[0].gone or self._entries[0].expires <= now):
            entry = self._entries.popleft()
            if not entry.gone:
                self._over(entry)
        self._timer = self._loop.call_at(self._entries[0].expires, self._look) if self._entries else None
