"""A stranger's URL, taken apart strictly: what of it is asked, and of whom.

There is no other reading of it later on: the connection goes to the host that was found here, and ``Host`` names it.
"""

import re
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv6Address
from urllib.parse import quote, urljoin

import idna

from app.errors import UrlForbiddenError
from app.fetching.addresses import Address, address_of
from app.fetching.rules import HOST_NAME, MOST_PORT, looks_numeric

MOST_URL = 8 * 1024
"""Characters of a URL, as it came and as it is sent."""

_MOST_AUTHORITY = 320
_MOST_NAME = 253

_SPLIT = re.compile(r"([A-Za-z]+)://([^/?#]*)([^#]*)(?:#.*)?", re.DOTALL)
_AUTHORITY = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f]*:[0-9A-Fa-f:.]+)\]|(?P<name>[^\[\]:]+))(?::(?P<port>[0-9]{0,5}))?")
# What RFC 3986 lets stand in a path and a query; and square brackets, which many leave as they are.
_PLAIN = "!$%&'()*+,-./:;=?@[]_~"
_SAFE = re.compile(rf"[A-Za-z0-9{re.escape(_PLAIN)}]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

_DEFAULT_PORTS = {"http": 80, "https": 443}

_NO_URL = "it is no URL"
_NO_SCHEME = "it does not begin with http:// or https://"
_NO_HOST = "its host is no host name and no address in the usual form, or its port is none"
_USER = "it has a user name or a password"
_CONTROLS = "it has a control character"
_NO_CHARACTER = "it has a character that is none"
_TOO_LONG = f"it has more than {MOST_URL} characters"


@dataclass(frozen=True, slots=True)
class Origin:
    """Who is asked.

    Attributes
    ----------
    tls
        Whether through TLS.
    host
        Its name in lower case and without a last dot, other alphabets as ``xn--``; or its address in its plain form.
    port
    address
        If the URL has it in place of a name.
    authority
        What ``Host`` says.
    key
        Tells origins apart.
    """

    tls: bool
    host: str
    port: int
    address: Address | None
    authority: str = field(init=False)
    key: str = field(init=False)

    def __post_init__(self) -> None:
        scheme = "https" if self.tls else "http"
        host = f"[{self.host}]" if isinstance(self.address, IPv6Address) else self.host
        authority = host if self.port == _DEFAULT_PORTS[scheme] else f"{host}:{self.port}"
        object.__setattr__(self, "authority", authority)
        object.__setattr__(self, "key", f"{scheme}://{authority}")


@dataclass(frozen=True, slots=True)
class Url:
    """One URL.

    Attributes
    ----------
    origin
    target
        Path and query, in ASCII.
    """

    origin: Origin
    target: str

    def join(self, location: str) -> "Url":
        """Return where a redirect leads, read as strictly as any URL; a fragment is never sent."""
        try:
            joined = urljoin(self.origin.key + self.target, location)
        except ValueError as error:
            raise _forbidden(_NO_URL) from error
        return parse_url(joined)


def parse_url(text: str) -> Url:
    """Take a URL apart.

    Raises
    ------
    UrlForbiddenError
        If it is no URL of http or https, or one in a form that is never fetched.
    """
    if len(text) > MOST_URL:
        raise _forbidden(_TOO_LONG)
    found = _SPLIT.fullmatch(text.strip(" "))
    if found is None:
        raise _forbidden(_NO_SCHEME)
    scheme, authority, target = found.groups()
    origin = _origin(scheme, authority)
    if not _SAFE.fullmatch(target):
        target = _quoted(target)
    return Url(origin, target if target[:1] == "/" else f"/{target}")


def _quoted(target: str) -> str:
    if _CONTROL.search(target):
        raise _forbidden(_CONTROLS)
    try:
        quoted = quote(target, safe=_PLAIN)
    except UnicodeError as error:
        raise _forbidden(_NO_CHARACTER) from error
    if len(quoted) > MOST_URL:
        raise _forbidden(_TOO_LONG)
    return quoted


@lru_cache(maxsize=1024)
def _origin(scheme: str, authority: str) -> Origin:
    scheme = scheme.lower()
    if scheme not in _DEFAULT_PORTS:
        raise _forbidden(_NO_SCHEME)
    if "@" in authority:
        raise _forbidden(_USER)
    found = _AUTHORITY.fullmatch(authority) if len(authority) <= _MOST_AUTHORITY else None
    port = int(found["port"] or _DEFAULT_PORTS[scheme]) if found else 0
    if found is None or not 0 < port <= MOST_PORT:
        raise _forbidden(_NO_HOST)
    host = found["v6"] or _name(found["name"])
    address = address_of(host) if found["v6"] or looks_numeric(host) else None
    if address is None and (found["v6"] or looks_numeric(host)):
        # As a number, in octal, shortened: what one reads as a name, another may read as an address.
        raise _forbidden(_NO_HOST)
    return Origin(scheme == "https", host if address is None else str(address), port, address)


def _name(text: str) -> str:
    if not text.isascii():
        try:
            text = idna.encode(text, uts46=True).decode()
        except UnicodeError as error:
            raise _forbidden(_NO_HOST) from error
    name = text.lower().removesuffix(".")
    if len(name) > _MOST_NAME or not HOST_NAME.fullmatch(name):
        raise _forbidden(_NO_HOST)
    return name


def _forbidden(why: str) -> UrlForbiddenError:
    return UrlForbiddenError(f"The URL is not fetched: {why}.")
