"""Which addresses are public, in all their disguises."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.fetching.addresses import address_of, is_public

# Networks that are not public, as they are known to whoever builds one.
PRIVATE = [
    IPv4Network(each)
    for each in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
]

private = st.sampled_from(PRIVATE).flatmap(lambda network: st.ip_addresses(v=4, network=network))

DISGUISES = {
    "itself": str,
    "mapped": lambda inner: f"::ffff:{inner}",
    "compatible": lambda inner: f"::{inner}",
    "translated": lambda inner: f"::ffff:0:{inner}",
    "NAT64": lambda inner: f"64:ff9b::{inner}",
    "NAT64 of one's own": lambda inner: f"64:ff9b:1::{inner}",
    "6to4": lambda inner: str(IPv6Address((0x2002 << 112) | int(inner) << 80 | 1)),
    "Teredo's server": lambda inner: str(IPv6Address((0x20010000 << 96) | int(inner) << 64 | 1)),
    "Teredo's client": lambda inner: str(IPv6Address((0x20010000 << 96) | int(inner) ^ 0xFFFFFFFF)),
    "ISATAP": lambda inner: f"2606:4700::5efe:{inner}",
    "ISATAP, global": lambda inner: f"2606:4700::200:5efe:{inner}",
}


@pytest.mark.parametrize("disguise", DISGUISES.values(), ids=DISGUISES)
def test_no_private_address_is_public_in_any_disguise(disguise: object) -> None:
    assert callable(disguise)

    @given(private)
    def check(inner: IPv4Address) -> None:
        assert not is_public(ip_address(disguise(inner)))
        plain = address_of(disguise(inner))
        assert plain is not None
        assert not is_public(plain)

    check()


@given(st.ip_addresses(v=4))
def test_an_address_and_its_mapped_form_are_judged_alike(address: IPv4Address) -> None:
    mapped = IPv6Address(f"::ffff:{address}")
    assert address_of(str(mapped)) == address
    assert is_public(mapped) == is_public(address)
    assert is_public(IPv6Address(f"64:ff9b::{address}")) == is_public(address)


@given(st.ip_addresses(v=6))
def test_what_is_public_of_ipv6_is_given_out_for_the_whole_internet(address: IPv6Address) -> None:
    if is_public(address) and address.ipv4_mapped is None and not str(address).startswith("64:ff9b::"):
        assert address.is_global
        assert int(address) >> 125 == 1


@pytest.mark.parametrize(
    "address",
    [
        "::",
        "::1",
        "100::1",
        "2001:2::1",
        "2001:db8::1",
        "2001:10::1",
        "3fff::1",
        "4000::1",
        "5f00::1",
        "fc00::1",
        "fd12::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "192.88.99.1",
        "168.63.129.16",
        "64:ff9b::168.63.129.16",
        "255.255.255.255",
    ],
)
def test_special_addresses_are_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1",
        "100.63.255.255",
        "100.128.0.0",
        "172.15.0.1",
        "172.32.0.1",
        "9.255.255.255",
        "11.0.0.0",
        "223.255.255.255",
        "168.63.129.15",
        "168.63.129.17",
        "2606:4700::1111",
        "2a00:1450::1",
        "2606:4700::5efe:8.8.8.8",
        "64:ff9b::8.8.8.8",
    ],
)
def test_public_addresses_are(address: str) -> None:
    assert is_public(ip_address(address))


def test_an_address_of_a_zone_is_none() -> None:
    assert address_of("fe80::1%eth0") is None
    assert not is_public(ip_address("2606:4700::1111%eth0"))
    assert address_of("galaxies") is None
