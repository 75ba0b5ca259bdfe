"""A worker of which several runs in a row fail is of no more use, and leaves its place to another one."""

import logging
from collections.abc import Sequence

from app.batching import Entry

MOST_FAILED = 3
"""After so many runs in a row that failed what they ran on is taken to be of no more use to this process.

Some of CUDA's errors are for good: all that the process asks of the device later fails too. On a CPU it is a session
that has gone wrong, or a process that gets no memory any more.
"""

_log = logging.getLogger(__name__)


class Failing:
    """Counts runs that fail in a row."""

    def __init__(self) -> None:
        self._runs = 0

    def note(self, batch: Sequence[Entry]) -> bool:
        """Note how the run of some entries went; return whether it is time for the worker to end."""
        self._runs = self._runs + 1 if any(entry.run_failed for entry in batch) else 0
        if self._runs < MOST_FAILED:
            return False
        _log.error("%d runs in a row have failed: the worker ends, for another to take its place", self._runs)
        return True
