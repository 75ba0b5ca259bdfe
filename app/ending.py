"""How the process ends: without waiting for a thread that hangs.

At its exit Python joins every thread of every executor, for as long as that takes. Nobody waits for what they do then:
what was accepted has been answered, or has had its time.
"""

import logging
import os
import sys
import threading
from contextlib import suppress
from time import monotonic
from typing import NoReturn

PATIENCE_SECONDS = 1.0
"""For how long threads are waited for that have nothing left to do."""

_log = logging.getLogger(__name__)


def end_now(status: int) -> NoReturn:
    """End the process as it is."""
    for stream in (sys.stdout, sys.stderr):
        # A signal may have come in the middle of a write.
        with suppress(Exception):
            stream.flush()
    os._exit(status)


def end_without_stragglers(seconds: float = PATIENCE_SECONDS) -> None:
    """Return once all other threads are over; end the process, with status 0, if they take longer."""
    ends = monotonic() + seconds
    others = [each for each in threading.enumerate() if each is not threading.current_thread() and not each.daemon]
    for each in others:
        each.join(max(0.0, ends - monotonic()))
    busy = [each.name for each in others if each.is_alive()]
    if busy:
        _log.warning("ending without waiting for threads that are still busy: %s", ", ".join(busy))
        end_now(0)
