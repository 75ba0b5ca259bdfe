"""How many files and sockets this process may have open: as many as the system allows."""

import logging
import os

_log = logging.getLogger(__name__)


def raise_limit() -> None:
    """Raise the limit on open files to what the system allows; the usual 1,024 are a crowd's first thousand clients."""
    if os.name != "posix":  # pragma: no cover (Windows has no such limit)
        return
    import resource  # noqa: PLC0415 (it is POSIX's)

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError) as error:
        _log.warning("no more than %d connections at a time: the limit on open files can't be raised (%s)", soft, error)
