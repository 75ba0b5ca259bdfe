"""Ctrl-C and SIGTERM, as one way to be asked to stop."""

import asyncio
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn, TypeVar

Result = TypeVar("Result")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


@contextmanager
def stoppable() -> Iterator[None]:
    """Have both signals raise KeyboardInterrupt, in the main thread, where signals come."""
    before = {number: signal.signal(number, _stop) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_stoppable(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine in an event loop of its own, within `stoppable`.

    Raises
    ------
    KeyboardInterrupt
        If a signal came; the coroutine was cancelled, and has ended.
    """
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    stopped = False

    async def main() -> Result:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()

        def stop() -> None:
            nonlocal stopped
            stopped = True
            task.cancel()

        for number in _SIGNALS:
            # Windows has no such handlers; there the signal is raised wherever the loop is.
            with suppress(NotImplementedError):
                loop.add_signal_handler(number, stop)
        return await task

    try:
        return asyncio.run(main())
    except asyncio.CancelledError:
        if stopped:
            raise KeyboardInterrupt from None
        raise
    finally:
        # The loop took the handlers away with it.
        for number, handler in before.items():
            signal.signal(number, handler)
