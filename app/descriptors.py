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


KEPT_FOR_OTHERS = 256
"""Files and sockets that are no client's: workers, images that are fetched, files that are read."""


def connections_within_limit(wanted: int) -> int:
    """Return for how many of the connections that are wanted there is room under the limit on open files."""
    if os.name != "posix":  # pragma: no cover (as above)
        return wanted
    import resource  # noqa: PLC0415 (as above)

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY or wanted <= limit - KEPT_FOR_OTHERS:
        return wanted
    fewer = max(1, limit - KEPT_FOR_OTHERS, limit // 2)
    fewer = min(fewer, wanted)
    _log.warning("%d connections at a time, not %d (connections): %d files can be open", fewer, wanted, limit)
    return fewer
