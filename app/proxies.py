"""Who a client is: the one who connects or, behind proxies that are known, the one whom they name.

A proxy adds the address that connected to it at the end of ``X-Forwarded-For``; what stands before it anyone may have
written. So it is read from its end, past proxies that are known, to the first address that is none of them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Self

HEADER = b"x-forwarded-for"


@dataclass(frozen=True)
class Proxies:
    """The proxies that are known."""

    networks: tuple[IPv4Network | IPv6Network, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read addresses and networks with spaces or commas between them; ValueError if one is none."""
        return cls(tuple(_network(each) for each in text.replace(",", " ").split()))

    def know(self, address: str) -> bool:
        """Whether an address is that of a proxy that is known."""
        parsed = _parsed(address)
        return parsed is not None and any(parsed in each for each in self.networks)

    def client_of(self, peer: str, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """Return the address of who asks.

        Parameters
        ----------
        peer
            Who connected: a proxy that is known.
        headers
            Of the request; names are in small letters.
        """
        said = b",".join(value for name, value in headers if name == HEADER).decode("latin-1")
        client = peer
        for each in reversed(said.split(",")):
            parsed = _parsed(_without_port(each.strip()))
            if parsed is None:
                break
            client = str(parsed)
            if not any(parsed in network for network in self.networks):
                break
        return client


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError:
        pass
    try:
        whole = ip_network(text, strict=False)
    except ValueError:
        msg = f"{text!r} is no address or network, such as 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32; names are not taken"
        raise ValueError(msg) from None
    msg = f"{text!r} is an address within a network: write {text.partition('/')[0]}, or {whole} for all of it"
    raise ValueError(msg)


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    return parsed.ipv4_mapped or parsed if isinstance(parsed, IPv6Address) else parsed


def _without_port(address: str) -> str:
    if address.startswith("["):
        return address[1:].partition("]")[0]
    host, _, port = address.partition(":")
    return host if port.isdecimal() and "." in host else address
