"""Waiting for room in turn: who came first is let in first, however little those behind ask for."""

import asyncio
from collections import deque
from collections.abc import Callable


class Turns:
    """Those who wait for one thing that there is only so much of. It belongs to the event loop's thread.

    Parameters
    ----------
    fits
        Whether there is room for so much.
    take
        Takes so much.
    give_back
        Gives so much back.
    """

    def __init__(
        self, fits: Callable[[int], bool], take: Callable[[int], object], give_back: Callable[[int], object]
    ) -> None:
        self._fits = fits
        self._take = take
        self._give_back = give_back
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    async def take(self, amount: int) -> None:
        """Take so much, once it is one's turn and there is room; who is cancelled takes nothing."""
        if not self._waiting and self._fits(amount):
            self._take(amount)
            return
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((amount, mine))
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():
                # It was given in the same moment.
                self._give_back(amount)
            self.move()
            raise

    def move(self) -> None:
        """Let in whom there is room for; to be called when some has been given back."""
        while self._waiting:
            amount, first = self._waiting[0]
            if not first.done():
                if not self._fits(amount):
                    return
                self._take(amount)
                first.set_result(None)
            self._waiting.popleft()
