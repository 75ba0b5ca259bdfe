"""Who a client is, behind proxies and in front of them: what anyone may write is not believed."""

from pathlib import Path

import httpx
import pytest
from pydantic import ValidationError

from app.proxies import Proxies
from app.settings import Settings
from tests.galaxies import jpeg
from tests.hostile.peers import peer
from tests.servers import Process, serving, wait_for

PROXIES = Proxies.parse("10.0.0.0/8, 192.0.2.7 fd00::/8")


@pytest.mark.parametrize(
    ("said", "client"),
    [
        ([], "10.0.0.1"),
        (["198.51.100.1"], "198.51.100.1"),
        # What the client wrote itself stands before what the proxy saw.
        (["203.0.113.9, 198.51.100.1"], "198.51.100.1"),
        (["203.0.113.9", "198.51.100.1"], "198.51.100.1"),
        (["203.0.113.9, 198.51.100.1, 10.1.1.1, 192.0.2.7"], "198.51.100.1"),
        (["10.1.1.1"], "10.1.1.1"),
        (["10.2.2.2, 10.1.1.1"], "10.2.2.2"),
        # What is no address is nobody's.
        (["198.51.100.1, unknown, 10.1.1.1"], "10.1.1.1"),
        (["nonsense"], "10.0.0.1"),
        (["203.0.113.9, "], "10.0.0.1"),
        (["198.51.100.1:4711"], "198.51.100.1"),
        (["[2001:db8::1]:4711"], "2001:db8::1"),
        (["2001:db8::1"], "2001:db8::1"),
        (["198.51.100.1, ::ffff:10.1.1.1"], "198.51.100.1"),
        (["198.51.100.1, fd00::1"], "198.51.100.1"),
    ],
)
def test_the_first_from_the_end_that_is_no_proxy(said: list[str], client: str) -> None:
    headers = [(b"x-forwarded-for", each.encode()) for each in said]
    assert PROXIES.client_of("10.0.0.1", headers) == client


@pytest.mark.parametrize(
    ("address", "known"), [("10.255.0.1", True), ("::ffff:10.0.0.1", True), ("11.0.0.1", False), ("testclient", False)]
)
def test_which_are_known(address: str, *, known: bool) -> None:
    assert PROXIES.know(address) == known


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("proxy.example", "'proxy.example' is no address or network, .* names are not taken"),
        ("10.0.0.2 nginx", "'nginx' is no address or network"),
        ("10.0.0.1/8", "'10.0.0.1/8' is an address within a network: write 10.0.0.1, or 10.0.0.0/8 for all of it"),
        ("10.0.0.0/8;", "'10.0.0.0/8;' is no address or network"),
    ],
)
def test_proxies_that_are_none(text: str, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Settings(trusted_proxies=text)


def clients(process: Process, path: str) -> list[str]:
    return [line.split("] ")[1].split(" - ")[0].rpartition(":")[0] for line in process.log.splitlines() if path in line]


@pytest.mark.parametrize(
    ("proxies", "client"), [("", "127.0.0.1"), ("192.0.2.0/24", "127.0.0.1"), ("127.0.0.1", "198.51.100.1")]
)
def test_what_the_log_says_of_a_client(model_folder: Path, tmp_path: Path, proxies: str, client: str) -> None:
    with serving(
        tmp_path / "log", model=str(model_folder), workers="1", log_level="debug", trusted_proxies=proxies
    ) as process:
        forged = {
            "X-Forwarded-For": "203.0.113.9, 198.51.100.1",
            "X-Real-IP": "203.0.113.9",
            "Forwarded": "for=1.2.3.4",
        }
        httpx.get(f"{process.url}/model?views=1", headers=forged)
        image = jpeg()
        lines = [f"{name}: {value}" for name, value in forged.items()]
        with peer(process.port) as one:
            one.say(one.head("POST", "/classify?views=1", *lines, f"Content-Length: {len(image)}") + image)
            assert one.answer().status == 200
        wait_for(lambda: len(clients(process, "views=1")) == 2, "both to be logged")
        assert clients(process, "views=1") == [client, client]
