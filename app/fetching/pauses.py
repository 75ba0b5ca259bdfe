"""For how long a host asks to be left alone."""

from collections.abc import Callable
from email.utils import parsedate_to_datetime
from time import time as wall_clock


def seconds_of(retry_after: bytes | None, clock: Callable[[], float] = wall_clock) -> float:
    """Return for how long to wait, by a number of seconds or a date (RFC 9110, 10.2.3); 0 if it is neither."""
    text = (retry_after or b"").decode("latin-1").strip()
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - clock())
    except (ValueError, OverflowError):
        return 0.0
