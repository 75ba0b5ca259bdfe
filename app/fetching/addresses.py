"""Which IP addresses are public, in whatever disguise they come.

An address that stands for another one inside a larger one is judged by the one inside, or isn't public at all. What
IANA's registries of special-purpose addresses do not call globally reachable is not public, nor is what was meant
for one network (RFC 6890, RFC 8190).
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

NAT64 = IPv6Network("64:ff9b::/96")
"""Stands for all of IPv4 where a network has none (RFC 6052)."""

GLOBAL_UNICAST = IPv6Network("2000::/3")
"""All that IANA gives out of IPv6; what is outside is local, special, or nobody's."""

_SPECIAL_V4 = [
    IPv4Network(each)
    for each in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by a provider's customers (CGNAT)
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # public by number; what Azure answers its own machines
        "169.254.0.0/16",  # link-local; metadata of clouds
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved; broadcast
    )
]

_SPECIAL_V6 = [
    IPv6Network(each)
    for each in (
        "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, an IPv4 address inside
        "3fff::/20",  # documentation
    )
]

_ISATAP = 0x5EFE
"""In the middle of an interface's part that ends in an IPv4 address (RFC 5214)."""


def address_of(text: str) -> Address | None:
    """Return an address in its plain form, or none if the text is none, or one of a zone (``fe80::1%eth0``)."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return None
        return address.ipv4_mapped or address
    return address


def is_public(address: Address) -> bool:
    """Whether an address is one of the public internet, which anyone may be asked to connect to."""
    if isinstance(address, IPv6Address):
        return _is_public_v6(address)
    return address.is_global and not address.is_multicast and not _within(address, _SPECIAL_V4)


def _is_public_v6(address: IPv6Address) -> bool:
    if address.scope_id is not None:
        return False
    inside = address.ipv4_mapped
    if inside is not None:
        return is_public(inside)
    last = IPv4Address(int(address) & 0xFFFFFFFF)
    if address in NAT64:
        return is_public(last)
    if address not in GLOBAL_UNICAST or not address.is_global or _within(address, _SPECIAL_V6):
        return False
    isatap = int(address) >> 32 & 0xFCFFFFFF == _ISATAP
    return not isatap or is_public(last)


def _within(address: Address, networks: list[IPv4Network] | list[IPv6Network]) -> bool:
    return any(address in each for each in networks)
