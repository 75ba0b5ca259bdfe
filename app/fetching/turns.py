"""Who may fetch now: so many in all, and so many from one host. The others wait in turn.

A host's own wait in the order in which they came; and among hosts that have room the turn goes round, so that a long
list of one host's images doesn't keep another's waiting.
"""

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field


@dataclass(eq=False, slots=True)
class _Host:
    busy: int = 0
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)
    # Whether it is among those that have room and someone who waits.
    listed: bool = False


class Turns:
    """Places to fetch. It belongs to the event loop's thread.

    Parameters
    ----------
    in_all, per_host
        How many there are.
    """

    def __init__(self, in_all: int, per_host: int) -> None:
        self._free = in_all
        self._per_host = per_host
        self._hosts: dict[str, _Host] = {}
        self._next: deque[_Host] = deque()

    @property
    def free(self) -> int:
        """How many places nobody has."""
        return self._free

    def take_now(self, host: str) -> bool:
        """Take a place if there is one and nobody else waits for it; whoever gets one gives it back."""
        known = self._hosts.get(host)
        if known is None:
            known = self._hosts[host] = _Host()
        # With places free, none of those waits whose host has room.
        if self._free and known.busy < self._per_host:
            self._free -= 1
            known.busy += 1
            return True
        return False

    async def wait(self, host: str) -> None:
        """Wait for a place, once `take_now` had none."""
        known = self._hosts[host]
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        known.waiting.append(mine)
        self._list(known)
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():
                self.give_back(host)
            else:
                with suppress(ValueError):
                    known.waiting.remove(mine)
                self._forget(host, known)
            raise

    def give_back(self, host: str) -> None:
        """Give a place back: to who is next."""
        known = self._hosts[host]
        known.busy -= 1
        self._free += 1
        if known.waiting:
            self._list(known)
        if self._next:
            self._give_out()
        self._forget(host, known)

    def _list(self, known: _Host) -> None:
        if not known.listed and known.busy < self._per_host:
            known.listed = True
            self._next.append(known)

    def _give_out(self) -> None:
        while self._free and self._next:
            known = self._next.popleft()
            known.listed = False
            while known.waiting and known.busy < self._per_host:
                mine = known.waiting.popleft()
                if not mine.done():
                    self._free -= 1
                    known.busy += 1
                    mine.set_result(None)
                    break
            if known.waiting:
                self._list(known)

    def _forget(self, host: str, known: _Host) -> None:
        if not known.busy and not known.waiting and self._hosts.get(host) is known:
            del self._hosts[host]
