"""An event loop in a thread of its own, for those who don't have one, or are in one that they must not hold up."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

Result = TypeVar("Result")


class Background:
    """Runs coroutines in one thread, which does not keep a program from ending.

    Parameters
    ----------
    name
        Of the thread.
    """

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def start(self, doing: Coroutine[Any, Any, Result]) -> "Future[Result]":
        """Begin with something; cancelling what is returned cancels it."""
        return asyncio.run_coroutine_threadsafe(doing, self._loop)

    def run(self, doing: Coroutine[Any, Any, Result]) -> Result:
        """Do something to its end, and return what comes of it; it is cancelled if the waiting is, as by Ctrl-C."""
        future = self.start(doing)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    @property
    def closed(self) -> bool:
        """Whether nothing can be run any more."""
        return self._loop.is_closed()

    def close(self) -> None:
        """Cancel what still runs, and end the thread; once more changes nothing."""
        if self.closed:
            return
        self.run(_cancel_others())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _cancel_others() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_default_executor()
