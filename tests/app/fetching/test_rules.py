"""The entries of the setting, and what they let through."""

import pytest
from click.testing import CliRunner

from app.cli import serve
from app.fetching.addresses import address_of
from app.fetching.rules import PORTS, Rules, split_port
from app.fetching.settings import CUTOUT_HOSTS, DEFAULT_HOSTS, name_servers_of
from app.settings import Settings


def lets(hosts: str, host: str, port: int) -> bool:
    rules = Rules.parse(hosts)
    address = address_of(host)
    return rules.lets_name(host, port) if address is None else rules.lets_literal(address, port)


@pytest.mark.parametrize(
    ("hosts", "host", "port", "allowed"),
    [
        ("images.example", "images.example", 80, True),
        ("images.example", "images.example", 443, True),
        ("images.example", "images.example", 8080, False),
        ("images.example", "other.example", 443, False),
        ("images.example", "a.images.example", 443, False),
        ("images.example", "notimages.example", 443, False),
        ("Images.Example.", "images.example", 443, True),
        ("images.example:8080", "images.example", 8080, True),
        ("images.example:8080", "images.example", 80, False),
        ("images.example:8080,images.example", "images.example", 80, True),
        ("images", "images", 80, True),
        ("*.images.example", "a.images.example", 80, True),
        ("*.images.example", "b.a.images.example", 80, True),
        ("*.images.example", "images.example", 80, False),
        ("*.images.example", "notimages.example", 80, False),
        ("*.images.example:81", "a.images.example", 80, False),
        ("*.images.example:81", "a.images.example", 81, True),
        ("*", "any.example", 443, True),
        ("*", "any.example", 8080, False),
        ("*:8080", "any.example", 8080, True),
        ("*", "localhost", 80, False),
        ("*", "8.8.8.8", 80, True),
        ("*", "2606:4700::1111", 80, True),
        ("images.example", "8.8.8.8", 80, False),
        ("10.0.0.0/8:8080", "10.1.2.3", 8080, True),
        ("10.0.0.0/8:8080", "10.1.2.3", 80, False),
        ("10.0.0.0/8:8080", "11.1.2.3", 8080, False),
        ("127.0.0.1", "127.0.0.1", 80, True),
        ("127.0.0.1", "127.0.0.2", 80, False),
        ("::1", "::1", 80, True),
        ("[::1]:8080", "::1", 8080, True),
        ("[::1]:8080", "::1", 80, False),
        ("fd00::/8", "fd12::1", 443, True),
        ("[fd00::/8]:8080", "fd12::1", 8080, True),
        ("::ffff:127.0.0.1", "127.0.0.1", 80, True),
        ("", "images.example", 80, False),
    ],
)
def test_what_may_be_asked_for(hosts: str, host: str, port: int, allowed: bool) -> None:  # noqa: FBT001 (a parameter)
    assert lets(hosts, host, port) is allowed


@pytest.mark.parametrize(
    ("hosts", "address", "port", "allowed"),
    [
        ("*", "8.8.8.8", 80, True),
        ("images.example", "8.8.8.8", 8080, True),
        ("* images.example", "127.0.0.1", 80, False),
        ("images.example 127.0.0.1", "127.0.0.1", 80, True),
        ("images.example 127.0.0.1:8080", "127.0.0.1", 80, False),
        ("images.example 10.0.0.0/8", "10.9.9.9", 443, True),
        ("images.example 10.0.0.0/8", "fd00::1", 443, False),
    ],
)
def test_what_may_be_connected_to(hosts: str, address: str, port: int, allowed: bool) -> None:  # noqa: FBT001 (as above)
    found = address_of(address)
    assert found is not None
    assert Rules.parse(hosts).lets_connect(found, port) is allowed


@pytest.mark.parametrize(
    "entry",
    [
        "images..example",
        "http://images.example",
        "images.example/path",
        "a.*.example",
        "*.*",
        "**",
        "bücher.example",
        "127.1",
        "0x7f000001",
        "10.0.0.1/8",
        "images.example:0",
        "images.example:65536",
        "images.example:http",
        "images.example:",
        "[::1",
        "[]",
        "[]:80",
        "a:b:c",
        ":80",
        "user@images.example",
        "-",
    ],
)
def test_an_entry_that_is_none_is_refused_at_the_start(entry: str) -> None:
    ended = CliRunner().invoke(serve, ["--fetch-hosts", f"fine.example {entry}"])
    assert ended.exit_code == 2
    assert "--fetch-hosts (GALAXYTREE_FETCH_HOSTS): " in ended.output
    assert repr(entry) in ended.output


@pytest.mark.parametrize("host", CUTOUT_HOSTS)
def test_the_surveys_cut_outs_are_fetched_where_nothing_is_set(host: str) -> None:
    assert Settings().fetch_hosts == DEFAULT_HOSTS
    assert all(lets(DEFAULT_HOSTS, host, port) for port in PORTS)
    assert not lets(DEFAULT_HOSTS, "images.example", 443)


def test_name_servers() -> None:
    assert name_servers_of("9.9.9.9, [2620:fe::fe]:5353 127.0.0.1:54") == [
        ("9.9.9.9", 53),
        ("2620:fe::fe", 5353),
        ("127.0.0.1", 54),
    ]
    assert name_servers_of("") == []
    ended = CliRunner().invoke(serve, ["--fetch-name-servers", "dns.example"])
    assert ended.exit_code == 2
    assert "'dns.example' is no address of a name server" in ended.output


def test_ports_are_told_from_addresses() -> None:
    assert split_port("::1:8080") == ("::1:8080", None)
    assert split_port("[::1]:8080") == ("::1", 8080)
    assert split_port("images.example:8080") == ("images.example", 8080)
