"""Where from this service fetches: the entries of ``GALAXYTREE_FETCH_HOSTS``, and what they let through.

An entry is a name, ``*.name`` for what is below a name, ``*`` for any public host, an address, or a network, each with
``:port`` or without. Without, it means ports 80 and 443.

There are two questions. May this host and port be asked for? So it stands in the URL. And may this address be connected
to? So the name was resolved. An address that is not public must itself be listed, by an address or a network, whatever
name led there.
"""

import re
from collections import defaultdict
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Self

from app.fetching.addresses import Address, Network, address_of, is_public

PORTS = frozenset({80, 443})
"""Where an entry doesn't name one."""

MOST_PORT = 65535

HOST_NAME = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,62})\.)*[a-z0-9_][a-z0-9_-]{0,62}")
"""A name in lower case, other alphabets as ``xn--``."""

_ENTRY = re.compile(
    r"(?:\[(?P<bracketed>[^\]]+)\]|(?P<v6>[0-9a-f:.]*:[0-9a-f:.]*:[0-9a-f:./]*)|(?P<host>[^\[\]:]+))"
    r"(?::(?P<port>[0-9]{1,5}))?",
    re.IGNORECASE,
)


def split_list(text: str) -> list[str]:
    """Return the entries of a list with spaces or commas between them."""
    return text.replace(",", " ").split()


def split_port(entry: str) -> tuple[str, int | None]:
    """Split ``host``, ``host:port``, ``[v6]:port`` or ``v6``; ValueError if it is none of them."""
    found = _ENTRY.fullmatch(entry)
    if found is None:
        msg = f"{entry!r} is no host or address, with :port or without"
        raise ValueError(msg)
    port = None if found["port"] is None else int(found["port"])
    if port is not None and not 0 < port <= MOST_PORT:
        msg = f"{entry!r} has no port between 1 and {MOST_PORT}"
        raise ValueError(msg)
    return found["bracketed"] or found["v6"] or found["host"], port


@dataclass(frozen=True)
class Rules:
    """What may be fetched.

    Attributes
    ----------
    names, below
        Ports by name, and by the name that is above.
    anywhere
        Ports on any public host.
    networks
        Networks, and single addresses as networks, each with its ports.
    """

    names: dict[str, frozenset[int]]
    below: dict[str, frozenset[int]]
    anywhere: frozenset[int]
    networks: tuple[tuple[Network, frozenset[int]], ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the setting.

        Raises
        ------
        ValueError
            If an entry is none; the message names it.
        """
        names: dict[str, frozenset[int]] = defaultdict(frozenset)
        below: dict[str, frozenset[int]] = defaultdict(frozenset)
        anywhere: frozenset[int] = frozenset()
        networks: list[tuple[Network, frozenset[int]]] = []
        for entry in split_list(text):
            host, port = split_port(entry)
            ports = PORTS if port is None else frozenset({port})
            network = _network_of(host)
            name = host.lower().removesuffix(".")
            if network is not None:
                networks.append((network, ports))
            elif host == "*":
                anywhere |= ports
            elif HOST_NAME.fullmatch(name.removeprefix("*.")) and not looks_numeric(name):
                where = below if name.startswith("*.") else names
                where[name.removeprefix("*.")] |= ports
            else:
                msg = f"{entry!r} is no host name (other alphabets in their xn-- form), address or network"
                raise ValueError(msg)
        return cls(dict(names), dict(below), anywhere, tuple(networks))

    def lets_name(self, name: str, port: int) -> bool:
        """Whether a name, in lower case and its ``xn--`` form, may be asked for on a port."""
        if port in self.names.get(name, ()):
            return True
        above = name.partition(".")[2]
        # A name without a dot is no public host's.
        if above and port in self.anywhere:
            return True
        while above:
            if port in self.below.get(above, ()):
                return True
            above = above.partition(".")[2]
        return False

    def lists(self, address: Address, port: int) -> bool:
        """Whether an address is listed, itself or by its network."""
        return any(port in ports and address in network for network, ports in self.networks)

    def lets_literal(self, address: Address, port: int) -> bool:
        """Whether a URL may have this address for its host; one that isn't public is still not connected to."""
        return port in self.anywhere or self.lists(address, port)

    def lets_connect(self, address: Address, port: int) -> bool:
        """Whether there may be a connection to an address, whatever led there."""
        return is_public(address) or self.lists(address, port)


def looks_numeric(name: str) -> bool:
    """Whether a name could be taken for an IPv4 address in one of its many forms: by its last label (WHATWG URL)."""
    last = name.rpartition(".")[2]
    return last.isdecimal() or last.startswith("0x")


def _network_of(host: str) -> Network | None:
    address = address_of(host)
    try:
        return ip_network(host if address is None else address)
    except ValueError:
        return None
