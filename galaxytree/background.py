"""An event loop in a thread of its own, for those who don't have one, or are in one that they must not hold up."""

import asyncio
import os
import threading
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Generic, TypeVar

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
        self._check(doing)
        return asyncio.run_coroutine_threadsafe(doing, self._loop)

    def run(self, doing: Coroutine[Any, Any, Result]) -> Result:
        """Do something to its end, and return what comes of it; it is cancelled if the waiting is, as by Ctrl-C."""
        self._check(doing)
        waited_for = _WaitedFor(doing)
        try:
            return self.start(waited_for.wait()).result()
        except BaseException:
            # Not by the future: Ctrl-C may come before there is one, with the work begun all the same.
            self._loop.call_soon_threadsafe(waited_for.give_up)
            raise

    def _check(self, doing: Coroutine[Any, Any, object]) -> None:
        # In place of what would hang, or hang with a warning about what was never awaited.
        if self.closed or self._process != os.getpid():
            doing.close()
            msg = "this is closed" if self.closed else "this belongs to another process: make one in each"
            raise RuntimeError(msg)

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


class _WaitedFor(Generic[Result]):
    """Something that another thread waits for, which may cease to at any moment."""

    def __init__(self, doing: Coroutine[Any, Any, Result]) -> None:
        self._doing = doing
        self._task: asyncio.Task[Any] | None = None
        self._given_up = False

    async def wait(self) -> Result:
        """Do it, unless it was given up before it began."""
        if self._given_up:
            self._doing.close()
            raise asyncio.CancelledError
        self._task = asyncio.current_task()
        return await self._doing

    def give_up(self) -> None:
        """Cancel it; called in the loop's thread."""
        self._given_up = True
        if self._task is not None:
            self._task.cancel()


async def _end_with(last: Coroutine[Any, Any, object] | None) -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    if last is not None:
        await last
    await asyncio.get_running_loop().shutdown_default_executor()
