"""Who waits for a worker: two lanes, interactive and bulk."""

from collections import deque
from typing import Generic, Protocol, TypeVar

BULK_TURN = 4
"""Of so many entries one is bulk, where both kinds wait."""


class Waiter(Protocol):
    """What waits."""

    @property
    def bulk(self) -> bool:
        """Whether others may go ahead of it."""
        ...

    @property
    def gone(self) -> bool:
        """Whether nobody waits for it any more."""
        ...


Entry = TypeVar("Entry", bound=Waiter)


class Lanes(Generic[Entry]):
    """Interactive entries go ahead of bulk ones, but bulk still moves. Those that are gone are dropped here."""

    def __init__(self) -> None:
        self._interactive: deque[Entry] = deque()
        self._bulk: deque[Entry] = deque()
        self._turn = 0

    def put(self, entry: Entry) -> None:
        """Join the end of a lane."""
        (self._bulk if entry.bulk else self._interactive).append(entry)

    def pop(self) -> Entry | None:
        """Take who is next; None if nobody waits."""
        while self._interactive or self._bulk:
            lane = self._interactive or self._bulk
            if self._interactive and self._bulk and self._turn == BULK_TURN - 1:
                lane = self._bulk
            entry = lane.popleft()
            if not entry.gone:
                self._turn = (self._turn + 1) % BULK_TURN
                return entry
        return None

    def empty(self) -> bool:
        """Whether nobody waits."""
        return not (self._interactive or self._bulk)
