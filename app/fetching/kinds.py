"""What kind of host an image is fetched from, for what is counted: a few, whatever URLs there are."""

from app.fetching.addresses import is_public
from app.fetching.settings import CUTOUT_HOSTS
from app.fetching.urls import Origin

OTHER = "other"

PRIVATE = "private-listed"
"""Of hosts with an address that isn't public, and is listed."""

_KNOWN = frozenset(CUTOUT_HOSTS)


def kind_of(origin: Origin) -> str:
    """Return the name of a host that is listed by default, else `OTHER`."""
    return origin.host if origin.host in _KNOWN else OTHER


def is_private(origin: Origin) -> bool:
    """Whether a URL's host is an address that isn't public."""
    return origin.address is not None and not is_public(origin.address)
