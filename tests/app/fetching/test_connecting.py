"""Names, addresses and certificates: how a connection comes about."""

import asyncio
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import app.fetching.resolving
from app.errors import FetchFailedError, FetchTimeoutError, UrlForbiddenError
from app.fetching.addresses import Address
from app.fetching.mishaps import UNUSABLE, Mishap
from app.fetching.resolving import Resolver
from tests.hostile.hosts import IMAGE, PATIENCE_SECONDS, fetching, host, outcome, run, until, whole, with_image
from tests.hostile.names import name_server


@contextmanager
def nobody_accepts(address: str, port: int = 0) -> Iterator[int]:
    """Have an address that swallows whoever wants to connect, as one behind a firewall does."""
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind((address, port))
        full.listen(0)
        for each in (first, second):
            each.setblocking(False)  # noqa: FBT003 (that is its name)
            each.connect_ex(full.getsockname())
        yield full.getsockname()[1]


def test_the_system_is_asked_where_no_name_servers_are_set() -> None:
    async def test() -> None:
        async with host(with_image(), "127.0.0.1") as one:
            # Also where it knows ::1 by that name.
            listed = f"localhost:{one.port} {one.entry} [::1]:{one.port}"
            async with fetching(listed) as fetcher:
                assert await outcome(fetcher, one.url(name="localhost")) == IMAGE
            async with fetching(f"localhost:{one.port}") as fetcher:
                assert isinstance(await outcome(fetcher, one.url(name="localhost")), UrlForbiddenError)

    run(test())


@pytest.mark.parametrize(("why", "visits"), [(socket.EAI_NONAME, 1), (socket.EAI_AGAIN, 2)])
def test_the_system_knows_no_such_name(monkeypatch: pytest.MonkeyPatch, why: int, visits: int) -> None:
    asked = []

    def fail(name: str, *_: object, **__: object) -> None:
        asked.append(name)
        raise socket.gaierror(why, "no")

    async def test() -> None:
        async with fetching("*", fetch_tries=2) as fetcher:
            monkeypatch.setattr(socket, "getaddrinfo", fail)
            assert isinstance(await outcome(fetcher, "http://images.invalid/"), FetchFailedError)
            assert asked == ["images.invalid"] * visits
            monkeypatch.undo()

    run(test())


def test_an_address_of_a_zone_is_not_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    def scoped(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1%lo", 0, 0, 1))]

    async def test() -> None:
        async with fetching("* fe80::/10") as fetcher:
            monkeypatch.setattr(socket, "getaddrinfo", scoped)
            assert isinstance(await outcome(fetcher, "http://images.test/"), UrlForbiddenError)
            monkeypatch.undo()

    run(test())


def test_a_name_is_looked_up_once_for_all_who_ask() -> None:
    async def test() -> None:
        async with (
            host(with_image()) as one,
            name_server(images_test=[["127.0.0.2"]]) as names,
            fetching(
                f"*:{one.port} images.test:{one.port} {one.entry}", fetch_name_servers=f"127.0.0.1:{names.port}"
            ) as fetcher,
        ):
            url = one.url(name="images.test")
            assert await asyncio.gather(*(outcome(fetcher, url) for _ in range(8))) == [IMAGE] * 8
            assert names.looked_up("images.test") == 1
            unknown = one.url(name="unknown.test")
            errors = await asyncio.gather(*(outcome(fetcher, unknown) for _ in range(8)))
            assert all(isinstance(each, FetchFailedError) for each in errors)
            assert names.looked_up("unknown.test") <= 1

    run(test())


def test_name_servers_that_say_nothing() -> None:
    async def test() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            servers = f"127.0.0.1:{silent.getsockname()[1]}"
            async with fetching("*", fetch_name_servers=servers, fetch_connect_timeout_seconds=0.3) as fetcher:
                error = await outcome(fetcher, "http://images.test/")
                assert isinstance(error, FetchTimeoutError)
                assert error.detail == "There was no connection to the URL's host after 0.3 s."
                assert fetcher._resolver._asking == {}

    run(test())


class Known:
    """Knows every name."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.gate = threading.Event()

    def look_up(self, name: str) -> list[Address | None]:
        self.asked.append(name)
        assert not name.startswith("late") or self.gate.wait(PATIENCE_SECONDS)
        return [] if name == "empty" else [None]


def test_so_many_answers_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.fetching.resolving, "MOST_KEPT", 2)

    async def test() -> None:
        known = Known()
        resolver = Resolver(known)
        for name in "abbcaca":
            assert await resolver.addresses(name) == [None]
        assert "".join(known.asked) == "abca"
        with pytest.raises(Mishap, match="not known"):
            await resolver.addresses("empty")
        waits = asyncio.create_task(resolver.addresses("late"))
        await until(lambda: known.asked[-1] == "late")
        resolver.close()
        with pytest.raises(Mishap):
            await waits
        known.gate.set()
        assert resolver._threads._shutdown

    run(test())


def test_who_asks_and_goes_has_nobody_kept_waiting() -> None:
    async def test() -> None:
        known = Known()
        resolver = Resolver(known)
        goes, stays = (asyncio.create_task(resolver.addresses("late")) for _ in range(2))
        await until(lambda: known.asked == ["late"])
        goes.cancel()
        with pytest.raises(asyncio.CancelledError):
            await goes
        known.gate.set()
        assert await stays == [None]
        resolver.close()

    run(test())


def test_names_of_which_nobody_says_anything_hold_up_no_others() -> None:
    async def test() -> None:
        known = Known()
        resolver = Resolver(known)
        # As many as are fetched at a time, and those that were given up but are still being asked for.
        silent = [asyncio.create_task(resolver.addresses(f"late-{number}")) for number in range(128)]
        await until(lambda: len(known.asked) == len(silent))
        assert await resolver.addresses("known") == [None]
        known.gate.set()
        await asyncio.gather(*silent)
        resolver.close()

    run(test())


def test_the_next_address_is_tried_where_nobody_listens() -> None:
    async def test() -> None:
        async with (
            host(with_image(), "127.0.0.4") as one,
            name_server(images_test=[["127.0.0.2", "127.0.0.4"]]) as names,
            fetching(
                f"images.test:{one.port} 127.0.0.0/29:{one.port}", fetch_name_servers=f"127.0.0.1:{names.port}"
            ) as fetcher,
        ):
            assert await outcome(fetcher, one.url(name="images.test")) == IMAGE

    run(test())


def test_the_next_address_is_tried_where_nobody_accepts() -> None:
    async def test() -> None:
        async with host(with_image(), "127.0.0.4") as one:
            with nobody_accepts("127.0.0.2", one.port):
                async with (
                    name_server(images_test=[["127.0.0.2", "127.0.0.4"]]) as names,
                    fetching(
                        f"images.test:{one.port} 127.0.0.0/29:{one.port}",
                        fetch_name_servers=f"127.0.0.1:{names.port}",
                        fetch_connect_timeout_seconds=1.0,
                    ) as fetcher,
                ):
                    assert await outcome(fetcher, one.url(name="images.test")) == IMAGE

    run(test())


@pytest.mark.parametrize(
    ("seconds", "in_all", "detail"),
    [
        (0.3, 30.0, "There was no connection to the URL's host after 0.3 s."),
        (30.0, 0.3, "The image was not there after 0.3 s."),
    ],
)
def test_a_connection_that_does_not_come_about_in_time(seconds: float, in_all: float, detail: str) -> None:
    async def test() -> None:
        with nobody_accepts("127.0.0.2") as port:
            async with fetching(
                f"127.0.0.2:{port}", fetch_connect_timeout_seconds=seconds, fetch_timeout_seconds=in_all
            ) as fetcher:
                error = await outcome(fetcher, f"http://127.0.0.2:{port}/")
                assert isinstance(error, FetchTimeoutError)
                assert error.detail == detail

    run(test())


def test_nobody_there() -> None:
    async def test() -> None:
        async with host(with_image()) as one:
            entry, url = one.entry, one.url()
        async with fetching(entry, fetch_tries=1) as fetcher:
            error = await outcome(fetcher, url)
            assert isinstance(error, FetchFailedError)
            assert error.detail == UNUSABLE

    run(test())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Have a certificate for images.test and 127.0.0.2, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl to make a certificate with")
    folder = tmp_path_factory.mktemp("certificate")
    made, key = folder / "certificate.pem", folder / "key.pem"
    what = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=tests", "-addext", "subjectAltName=DNS:images.test,IP:127.0.0.2"]
    subprocess.run([openssl, *what, *names, "-out", made, "-keyout", key], check=True, capture_output=True)
    return made, key


def test_a_certificate_is_checked_for_the_name_and_the_address_is_the_one_that_was_checked(
    certificate: tuple[Path, Path],
) -> None:
    made, key = certificate
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    served.load_cert_chain(made, key)
    shown: list[str | None] = []
    served.sni_callback = lambda _socket, name, _context: shown.append(name)
    trusting = ssl.create_default_context(cafile=str(made))

    async def test() -> None:
        looked_up = {"images_test": [["127.0.0.2"]], "other_test": [["127.0.0.2"]]}
        async with host(with_image(), tls=served) as one, name_server(**looked_up) as names:
            listed = f"*:{one.port} {one.entry}"
            servers = f"127.0.0.1:{names.port}"
            async with fetching(listed, tls=trusting, fetch_name_servers=servers) as fetcher:
                for _ in range(2):
                    assert await outcome(fetcher, one.url(name="images.test")) == IMAGE
                assert one.connections == 1
                assert one.visits[0].headers["host"] == f"images.test:{one.port}"
                assert shown == ["images.test"]
                assert await outcome(fetcher, one.url()) == IMAGE
                # Another name, another scheme, and the same host from whom nobody vouches for it.
                for url in (one.url(name="other.test"), one.url(name="images.test").replace("https:", "http:")):
                    error = await outcome(fetcher, url)
                    assert isinstance(error, FetchFailedError)
                    assert error.detail == UNUSABLE
            async with fetching(listed, fetch_name_servers=servers) as fetcher:
                assert isinstance(await outcome(fetcher, one.url(name="images.test")), FetchFailedError)
            assert len(one.visits) == 3

    run(test())


def test_a_host_that_does_not_speak_tls() -> None:
    async def test() -> None:
        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(whole(IMAGE))
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.2", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, fetching(f"127.0.0.2:{port}") as fetcher:
            error = await outcome(fetcher, f"https://127.0.0.2:{port}/")
            assert isinstance(error, FetchFailedError)
            assert error.detail == UNUSABLE

    run(test())


def test_what_is_being_connected_at_the_end_fails() -> None:
    async def test() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            servers = f"127.0.0.1:{silent.getsockname()[1]}"
            async with fetching(
                "*", fetch_name_servers=servers, fetch_concurrency=2, fetch_connect_timeout_seconds=1.0
            ) as fetcher:
                urls = ["http://images.test/", "http://other.test/", "http://third.test/"]
                fetches = [asyncio.create_task(outcome(fetcher, url)) for url in urls]
                await until(lambda: len(fetcher._resolver._asking) == 2)
                await fetcher.close()
                assert all(isinstance(each, FetchFailedError) for each in await asyncio.gather(*fetches))

    run(test())


def test_a_connection_that_comes_about_after_the_end_is_closed() -> None:
    async def test() -> None:
        async with host(with_image()) as one, fetching(one.entry) as fetcher:
            fetch = asyncio.create_task(outcome(fetcher, one.url()))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await fetcher.close()
            assert isinstance(await fetch, FetchFailedError)
            await until(lambda: not fetcher._pool._all)
            assert not one.visits

    run(test())
