"""What can be set of who may do what, and for how long: the kinds of fields that `app.settings.Settings` has of it."""

from typing import Annotated

from pydantic import AfterValidator, Field

from app.hosts import Hosts
from app.limits import Limits
from app.proxies import Proxies


def _address_limits(text: str | None) -> str | None:
    if text is not None:
        Limits.parse(text)
    return text


def _proxies(text: str | None) -> str | None:
    Proxies.parse(text or "")
    return text


def _hosts(text: str) -> str:
    Hosts.parse(text)
    return text


def origins_of(text: str | None) -> tuple[str, ...]:
    """Return the origins of a list, with spaces or commas between them; ValueError if one is none."""
    found = tuple((text or "").replace(",", " ").split())
    for each in found:
        scheme, mark, host = each.partition("://")
        if each != "*" and (scheme not in {"http", "https"} or not mark or not host or set(host) & set("/?#@*")):
            msg = f"{each!r} is no origin such as https://galaxies.example, nor *"
            raise ValueError(msg)
    return found


def _origins(text: str | None) -> str | None:
    origins_of(text)
    return text


RequireKeys = Annotated[
    bool,
    Field(title="Keys are required", description="Refuse to start without API keys, rather than be open to everyone"),
]
AddressLimits = Annotated[
    str | None,
    AfterValidator(_address_limits),
    Field(
        title="Limits of an address",
        description="Where no API keys are set, how much may be asked for from one address (of IPv6, one /64): some of "
        "requests_per_second=, burst=, concurrent_requests=, images_per_day=, with spaces or commas between them; not "
        "set: no limits",
    ),
]
PublicMetrics = Annotated[
    bool,
    Field(title="Public metrics", description="Whether GET /metrics needs no key where API keys are set"),
]
TrustedProxies = Annotated[
    str | None,
    AfterValidator(_proxies),
    Field(
        title="Trusted proxies",
        description="Addresses and networks of the proxies in front, with spaces or commas between them: only from "
        "these is X-Forwarded-For believed on whose request it is; not set: whoever connects is the client",
    ),
]
HostNames = Annotated[
    str,
    AfterValidator(_hosts),
    Field(
        title="Host names",
        description="Names by which the service goes, with spaces or commas between them: a name, *.name for those "
        "below it, an address, or * for any; requests for others are answered 421, but for its health and, by an "
        "address, for GET /metrics",
    ),
]
CorsOrigins = Annotated[
    str | None,
    AfterValidator(_origins),
    Field(
        title="Origins",
        description="Origins such as https://galaxies.example whose pages may call the service from a browser, with "
        "spaces or commas between them, or * for any; not set: none but its own",
    ),
]
Connections = Annotated[
    int,
    Field(
        title="Connections",
        description="Open at a time, at most; where there would be more, those are closed that have waited the longest "
        "without asking for anything",
        gt=0,
        le=1_000_000,
    ),
]
HeadTimeoutSeconds = Annotated[
    float,
    Field(
        title="Time for a head",
        description="Seconds within which the head of a request must arrive, from its first byte, or from connecting",
        gt=0,
        le=3600,
    ),
]
MaxHeadBytes = Annotated[
    int,
    Field(title="Largest head, bytes", description="Bytes of a request's line and headers, at most", gt=0, le=2**20),
]
KeepAliveSeconds = Annotated[
    float,
    Field(
        title="Time between requests",
        description="Seconds that a connection is kept on which nothing is asked; behind a proxy, longer than it keeps "
        "its own",
        gt=0,
        le=3600,
    ),
]
SendTimeoutSeconds = Annotated[
    float,
    Field(
        title="Time to be read",
        description="Seconds within which a client must have read on in an answer of which more waits for it than a "
        "connection holds; it is cut off then",
        gt=0,
        le=86_400,
    ),
]
