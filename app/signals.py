"""SIGHUP, which asks for new models; and what signals do before there is a server that hears them."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from app.ending import end_now

_log = logging.getLogger(__name__)

Act = Callable[[], object]

_HANGUP: signal.Signals | None = getattr(signal, "SIGHUP", None)
"""There is none on Windows."""


def _begin_no_more(sig: int, _frame: FrameType | None) -> None:
    _log.info("%s: ending before the start", signal.Signals(sig).name)
    end_now(0)


def _nothing_yet(_sig: int, _frame: FrameType | None) -> None:
    _log.warning("SIGHUP: no reload, the service is starting")


@contextmanager
def heard_from_the_start() -> Iterator[None]:
    """Have handlers stand before anything is loaded, until the end of the ``with`` block.

    The first process of a container gets no signal at all that it has no handler for. The server sets its own later.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {signal.SIGTERM: _begin_no_more, **({} if _HANGUP is None else {_HANGUP: _nothing_yet})}
    before = {sig: signal.signal(sig, handler) for sig, handler in handlers.items()}
    try:
        yield
    finally:
        for sig, handler in before.items():
            signal.signal(sig, handler)


def call_on_hangup(act: Act, end: Act) -> None:
    """Have SIGHUP call a function from now on.

    Parameters
    ----------
    act
        Is called where somebody sends the signal. Like all handlers, in the main thread, whatever that is doing.
    end
        Is called in its place where the terminal has gone on which the service was started: that sends it too.
    """
    if _HANGUP is None or threading.current_thread() is not threading.main_thread():
        return
    on_terminal = _is_terminal()

    def heard(_sig: int, _frame: FrameType | None) -> None:
        (end if on_terminal and not _is_terminal() else act)()

    signal.signal(_HANGUP, heard)


def _is_terminal() -> bool:
    """Whether standard input is a terminal that is still there."""
    try:
        return os.isatty(sys.stdin.fileno())
    except (AttributeError, OSError, ValueError):
        return False
