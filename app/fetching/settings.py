"""What can be set of fetching: the kinds of fields that `app.settings.Settings` has of it."""

from typing import Annotated

from pydantic import AfterValidator, Field

from app.fetching.addresses import address_of
from app.fetching.rules import Rules, split_list, split_port

CUTOUT_HOSTS = (
    "skyserver.sdss.org",
    "www.legacysurvey.org",
    "ps1images.stsci.edu",
    "alasky.cds.unistra.fr",
    "alaskybis.cds.unistra.fr",
)
"""Where SDSS, the Legacy Surveys, Pan-STARRS and CDS cut pictures out."""

DEFAULT_HOSTS = " ".join(CUTOUT_HOSTS)


def _hosts(text: str) -> str:
    Rules.parse(text)
    return text


def name_servers_of(text: str) -> list[tuple[str, int]]:
    """Return the address and port of each name server of a list; ValueError if one is none."""
    found = []
    for entry in split_list(text):
        host, port = split_port(entry)
        if address_of(host) is None:
            msg = f"{entry!r} is no address of a name server, with :port or without"
            raise ValueError(msg)
        found.append((host, port or 53))
    return found


def _name_servers(text: str | None) -> str | None:
    name_servers_of(text or "")
    return text


FetchHosts = Annotated[
    str,
    AfterValidator(_hosts),
    Field(
        title="Hosts to fetch from",
        description="Hosts that images are fetched from, with spaces or commas between them: a name, *.name for those "
        "below it, * for any public host, an address or a network; each for ports 80 and 443, or the one of :port. An "
        "address that isn't public is connected to only if it or its network is listed",
    ),
]
FetchConcurrency = Annotated[
    int, Field(title="Fetches", description="Images being fetched at a time, at most", gt=0, le=4096)
]
FetchPerHost = Annotated[
    int, Field(title="Fetches from one host", description="Images being fetched from one host, at most", gt=0, le=4096)
]
FetchConnectTimeoutSeconds = Annotated[
    float,
    Field(
        title="Time to connect",
        description="Seconds within which a host's name must be resolved and a connection made, TLS included",
        gt=0,
        le=600,
    ),
]
FetchFirstByteTimeoutSeconds = Annotated[
    float,
    Field(title="Time to a first byte", description="Seconds within which a host must begin to answer", gt=0, le=600),
]
FetchTimeoutSeconds = Annotated[
    float,
    Field(
        title="Time for a fetch",
        description="Seconds that an image may take in all, with redirects, tries and pauses between them, but without "
        "waiting for its turn",
        gt=0,
        le=3600,
    ),
]
FetchTries = Annotated[
    int,
    Field(
        title="Tries",
        description="How often an image is asked for if its host answers 429, 502, 503 or 504, or drops the connection",
        gt=0,
        le=100,
    ),
]
FetchNameServers = Annotated[
    str | None,
    AfterValidator(_name_servers),
    Field(
        title="Name servers",
        description="Addresses of the name servers to ask, each with :port or without, with spaces or commas between "
        "them; not set: names are resolved as the system does it",
    ),
]
