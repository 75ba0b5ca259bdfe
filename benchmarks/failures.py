"""What may go wrong with one thing that is measured, and must not end the run.

::

    NotMeasuredError
     +-- NotServedError
     +-- LimitError
     +-- WrkError
     +-- NotInstalledError, in benchmarks.environments
"""

import subprocess


class NotMeasuredError(RuntimeError):
    """Something could not be measured; the message says why."""


class NotServedError(NotMeasuredError):
    """A system that did not come up, has ended, or answers something else than the network does."""


class LimitError(NotMeasuredError):
    """The limit could not be measured."""


class WrkError(NotMeasuredError):
    """wrk is not there, or did not do what was asked."""


FAILURES = (NotMeasuredError, OSError, subprocess.SubprocessError, ValueError)
"""What running a stranger's program, talking to it and reading what it says may raise."""


def reason(error: Exception) -> str:
    """Say in a line what went wrong, which some errors have no words for."""
    words = " ".join(str(error).split())
    if isinstance(error, NotMeasuredError):
        return words
    return f"{type(error).__name__}: {words}" if words else type(error).__name__
