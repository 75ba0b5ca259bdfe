"""An event loop in a thread of its own, for those who don't have one, or are in one that they must not hold up."""

import asyncio
import os
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
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def start(self, doing: Coroutine[Any, Any, Result]) -> "Future[Result]":
        """Begin with something; cancelling what is returned cancels it.

        Raises
        ------
        RuntimeError
            If this is closed, or belongs to the process that this one was forked from.
        """
        # In place of what would hang, or hang with a warning about what was never awaited.
        if self.closed or self._process != os.getpid():
            doing.close()
            msg = "this is closed" if self.closed else "this belongs to another process: make one in each"
            raise RuntimeError(msg)
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

    def close(self, last: Coroutine[Any, Any, object] | None = None) -> None:
        """Cancel what still runs, do a last thing if there is one, and end the thread; once more changes nothing."""
        if self.closed:
            if last is not None:
                last.close()
            return
        self.run(_end_with(last))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _end_with(last: Coroutine[Any, Any, object] | None) -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    if last is not None:
        await last
    await asyncio.get_running_loop().shutdown_default_executor()
