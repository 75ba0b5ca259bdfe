"""URLs of strangers, over real sockets and with a name server of the tests' own: none leads inside."""

import asyncio
import gzip
import tracemalloc
from contextlib import AsyncExitStack

import pytest

import app.fetching.pool
import app.fetching.resolving
from app.errors import FetchFailedError, FetchTimeoutError, PayloadTooLargeError, UrlForbiddenError
from app.fetching.addresses import Address, is_public
from app.fetching.mishaps import UNUSABLE
from tests.hostile.hosts import (
    IMAGE,
    Answer,
    Host,
    Visit,
    fetching,
    head,
    host,
    one_after_the_other,
    outcome,
    redirecting,
    run,
    saying,
    until,
    whole,
    with_image,
    with_status,
)
from tests.hostile.names import name_server

INSIDE = "127.0.0.3"
"""Where nobody may get to."""

NOT_PUBLIC = (
    "The URL is not fetched: it leads to an address that is neither public nor among what the service's "
    "GALAXYTREE_FETCH_HOSTS lists."
)
LOOPBACKS = [
    "http://127.0.0.3:{port}/",
    "http://127.0.0.3.:{port}/",
    "http://[::ffff:127.0.0.3]:{port}/",
    "http://[::ffff:7f00:3]:{port}/",
    "http://[0:0:0:0:0:ffff:127.0.0.3]:{port}/",
    "http://[64:ff9b::127.0.0.3]:{port}/",
    "http://[64:ff9b::7f00:3]:{port}/",
    "http://[2002:7f00:3::]:{port}/",
    "http://[::127.0.0.3]:{port}/",
    "http://[::1]:{port}/",
    "http://0.0.0.0:{port}/",
    "http://[::]:{port}/",
]
ODD_FORMS = [
    "http://2130706435:{port}/",
    "http://017700000003:{port}/",
    "http://0x7f000003:{port}/",
    "http://0X7F000003:{port}/",
    "http://0177.0.0.3:{port}/",
    "http://0x7f.0.0.3:{port}/",
    "http://127.0.0.03:{port}/",
    "http://127.3:{port}/",
    "http://127.0.3:{port}/",
    "http://127.0.0.0x3:{port}/",
    "http://127.0.0.3.1:{port}/",
    "http://\uff11\uff12\uff17.0.0.03:{port}/",
    "http://0x7f.1:{port}/",
    "http://127.0.0.3%00.example:{port}/",
    "http://127.0.0.3\\@example:{port}/",
    "http://127.0.0.3 :{port}/",
    "http://127.0.0.3\t:{port}/",
    "http://[fe80::1%25lo]:{port}/",
    "http://[fe80::1%lo]:{port}/",
    "http://[127.0.0.3]:{port}/",
    "http://[::1:{port}/",
    "http://galaxy@127.0.0.3:{port}/",
    "http://images.example:80@127.0.0.3:{port}/",
    "http://127.0.0.3:99999/",
    "http://127.0.0.3:0/",
    "http://127.0.0.3:+{port}/",
    "http:127.0.0.3:{port}/",
    "http:/127.0.0.3:{port}/",
    "//127.0.0.3:{port}/",
    "ftp://127.0.0.3:{port}/",
    "file://127.0.0.3/etc/passwd",
    "gopher://127.0.0.3:{port}/",
    "http://127.0.0.3:{port}/\r\nX-Injected: yes",
    "http://127.0.0.3:{port}/\x00",
    "http://127.0.0.3:{port}/\ud800",
    "http://127.0.0.3:{port}/" + "a" * 8192,
    "http://127.0.0.3:{port}/" + "é" * 4000,
    "http://:{port}/",
    "http://",
    "",
]
PRIVATE = {
    "loopback": ["127.0.0.3"],
    "loopback of IPv6": ["::1"],
    "private, ten": ["10.1.2.3"],
    "private, 172": ["172.31.255.254"],
    "private, 192": ["192.168.1.1"],
    "private of IPv6": ["fd00::1"],
    "link-local": ["169.254.169.254"],
    "link-local of IPv6": ["fe80::1"],
    "shared by a provider's customers": ["100.64.0.1"],
    "multicast": ["224.0.0.1"],
    "multicast of IPv6": ["ff02::1"],
    "broadcast": ["255.255.255.255"],
    "nothing": ["0.0.0.0"],  # noqa: S104 (looked up, and not listened on)
    "IPv4 in IPv6": ["::ffff:127.0.0.3"],
    "compatible": ["::127.0.0.3"],
    "NAT64": ["64:ff9b::7f00:3"],
    "NAT64 of one's own": ["64:ff9b:1::7f00:3"],
    "6to4": ["2002:7f00:3::"],
    "Teredo": ["2001:0:7f00:3::1"],
    "ISATAP": ["2606:4700::5efe:7f00:3"],
    "one of two": ["127.0.0.2", "127.0.0.3"],
    "one of two kinds": ["127.0.0.2", "fd00::1"],
}


@pytest.mark.parametrize("hosts", ["* *:{port}", "127.0.0.2:{port} *:{port}"])
@pytest.mark.parametrize("url", LOOPBACKS)
def test_addresses_inside_are_not_connected_to(url: str, hosts: str) -> None:
    async def test() -> None:
        async with host(with_image(), INSIDE) as inside, fetching(hosts.format(port=inside.port)) as fetcher:
            error = await outcome(fetcher, url.format(port=inside.port))
            assert isinstance(error, UrlForbiddenError)
            assert error.detail == NOT_PUBLIC
            assert inside.connections == 0

    run(test())


@pytest.mark.parametrize("url", ODD_FORMS)
def test_odd_forms_are_not_even_looked_up(url: str) -> None:
    async def test() -> None:
        async with host(with_image(), INSIDE) as inside, name_server() as names:
            # Whatever is taken for the address inside is let through.
            hosts = f"* *:{inside.port} 127.0.0.0/8:{inside.port} [::/0]:{inside.port}"
            async with fetching(hosts, fetch_name_servers=f"127.0.0.1:{names.port}") as fetcher:
                error = await outcome(fetcher, url.format(port=inside.port))
                assert isinstance(error, UrlForbiddenError)
                assert (error.status, error.code) == (422, "url_forbidden")
            assert inside.connections == 0
            assert names.asked == []

    run(test())


@pytest.mark.parametrize("addresses", PRIVATE.values(), ids=PRIVATE)
def test_a_name_of_which_one_address_is_not_public_is_not_connected_to(addresses: list[str]) -> None:
    async def test() -> None:
        async with (
            host(with_image(), INSIDE) as inside,
            host(with_image(), "127.0.0.2", inside.port) as allowed,
            name_server(images_test=[addresses]) as names,
            fetching(
                f"*:{inside.port} {allowed.entry}", fetch_name_servers=f"127.0.0.1:{names.port}", fetch_tries=1
            ) as fetcher,
        ):
            error = await outcome(fetcher, inside.url(name="images.test"))
            assert isinstance(error, UrlForbiddenError)
            assert error.detail == NOT_PUBLIC
            assert inside.connections == allowed.connections == 0

    run(test())


def test_a_name_that_changes_is_looked_up_once_and_checked_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.fetching.resolving, "KEPT_SECONDS", 0.0)

    async def test() -> None:
        async with (
            host(with_image("Connection: close"), INSIDE) as inside,
            host(with_image("Connection: close"), "127.0.0.2", inside.port) as allowed,
            name_server(images_test=[["127.0.0.2"], ["127.0.0.3"]]) as names,
            fetching(
                f"images.test:{inside.port} {allowed.entry}", fetch_name_servers=f"127.0.0.1:{names.port}"
            ) as fetcher,
        ):
            assert await outcome(fetcher, allowed.url(name="images.test")) == IMAGE
            # The connection went to the address that was checked: there was no other look-up that could differ.
            assert names.looked_up("images.test") == 1
            assert allowed.connections == 1
            assert isinstance(await outcome(fetcher, allowed.url(name="images.test")), UrlForbiddenError)
            assert names.looked_up("images.test") == 2
            assert inside.connections == 0

    run(test())


def test_the_name_is_kept_for_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.3:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.3:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.3:9")

    async def test() -> None:
        async with (
            host(with_image("Set-Cookie: a=b")) as allowed,
            name_server(images_test=[["127.0.0.2"]]) as names,
            fetching(
                f"images.test:{allowed.port} {allowed.entry}", fetch_name_servers=f"127.0.0.1:{names.port}"
            ) as fetcher,
        ):
            for _ in range(2):
                assert await outcome(fetcher, allowed.url("/a b?c=é#d", name="IMAGES.test.")) == IMAGE
            assert [visit.connection for visit in allowed.visits] == [1, 1]
            headers = allowed.visits[1].headers
            assert allowed.visits[1].path == "/a%20b?c=%C3%A9"
            assert headers["host"] == f"images.test:{allowed.port}"
            assert headers["accept-encoding"] == "identity"
            assert not {"cookie", "authorization", "referer", "proxy-connection"} & headers.keys()

    run(test())


REDIRECTS_INSIDE = [
    "http://127.0.0.3:{port}/",
    "//127.0.0.3:{port}/",
    "http://inside.test:{port}/",
    "http://2130706435:{port}/",
    "http://[::ffff:127.0.0.3]:{port}/",
    "http://user@127.0.0.3:{port}/",
    "https://127.0.0.3:{port}/",
    "file:///etc/passwd",
    "http://[::1",
]


@pytest.mark.parametrize("hops", [1, 3])
@pytest.mark.parametrize("to", REDIRECTS_INSIDE)
def test_a_page_that_is_allowed_redirects_inside(to: str, hops: int) -> None:
    async def test() -> None:
        async with host(with_image(), INSIDE) as inside:
            there = to.format(port=inside.port)
            way = [redirecting("/further")] * (hops - 1) + [redirecting(there)]
            async with (
                host(one_after_the_other(*way)) as allowed,
                name_server(inside_test=[[INSIDE]]) as names,
                fetching(f"{allowed.entry} *:{inside.port}", fetch_name_servers=f"127.0.0.1:{names.port}") as fetcher,
            ):
                error = await outcome(fetcher, allowed.url())
                assert isinstance(error, UrlForbiddenError)
                assert len(allowed.visits) == hops
                assert inside.connections == 0

    run(test())


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed_three_times_and_no_more(status: int) -> None:
    async def test() -> None:
        async with host(redirecting("/round?and=round", status)) as one, fetching(one.entry) as fetcher:
            assert isinstance(await outcome(fetcher, one.url()), FetchFailedError)
            assert len(one.visits) == 4

    run(test())


def test_a_redirect_may_lead_to_another_host_that_is_listed() -> None:
    async def test() -> None:
        async with host(with_image(), "127.0.0.4") as images:
            way = one_after_the_other(redirecting("sub/a"), redirecting("?b"), redirecting(images.url("/c#d")))
            async with host(way) as first, fetching(f"{first.entry} {images.entry}") as fetcher:
                assert await outcome(fetcher, first.url("/x/y?z")) == IMAGE
                assert [visit.path for visit in first.visits] == ["/x/y?z", "/x/sub/a", "/x/sub/a?b"]
                assert images.visits[0].path == "/c"
                assert images.visits[0].headers["host"] == images.entry

    run(test())


async def endless(visit: Visit) -> None:
    await visit.say(head(200, "Transfer-Encoding: chunked"))
    await visit.say_for_ever(b"ffff\r\n" + bytes(0xFFFF) + b"\r\n")


async def endless_without_chunks(visit: Visit) -> None:
    await visit.say(head(200))
    await visit.say_for_ever(bytes(50_000))


async def declared_giant(visit: Visit) -> None:
    await visit.say(head(200, "Content-Length: 1000000000000"))
    await visit.wait_for_ever()


@pytest.mark.parametrize("answer", [endless, endless_without_chunks, declared_giant])
def test_bodies_beyond_the_limit_are_cut_off(answer: Answer) -> None:
    async def test() -> None:
        async with host(answer) as one, fetching(one.entry, max_image_bytes=100_000) as fetcher:
            error = await outcome(fetcher, one.url())
            assert isinstance(error, PayloadTooLargeError)
            assert error.detail == "The URL leads to more than 100000 bytes."
            assert len(one.visits) == 1

    run(test())


@pytest.mark.parametrize("chunked", [False, True])
def test_the_limit_on_bytes_is_exact(chunked: bool) -> None:  # noqa: FBT001 (a parameter of the test)
    def answer(body: bytes) -> Answer:
        if chunked:
            half = len(body) // 2
            pieces = [body[:half], body[half:], b""]
            framed = b"".join(b"%x;ext=1\r\n%b\r\n" % (len(each), each) for each in pieces)
            return saying(head(200, "Transfer-Encoding: chunked") + framed)
        return saying(whole(body))

    async def test() -> None:
        answers = one_after_the_other(answer(bytes(50_000)), answer(bytes(50_001)))
        async with host(answers) as one, fetching(one.entry, max_image_bytes=50_000) as fetcher:
            assert await outcome(fetcher, one.url()) == bytes(50_000)
            assert isinstance(await outcome(fetcher, one.url()), PayloadTooLargeError)

    run(test())


def test_a_body_in_tiny_pieces_takes_little_more_than_its_bytes() -> None:
    large = bytes(range(256)) * 4096
    # Large pieces among tiny ones, as nobody sends them who means well.
    sizes = [*[2] * 100_000, 2000, *[3] * 10_000, 1, 5000, 1]

    async def test() -> None:
        pieces, start = [], 0
        for size in [*sizes, len(large) - sum(sizes)]:
            pieces.append(b"%x\r\n%b\r\n" % (size, large[start : start + size]))
            start += size
        data = head(200, "Transfer-Encoding: chunked") + b"".join([*pieces, b"0\r\n\r\n"])
        async with host(saying(data)) as one, fetching(one.entry) as fetcher:
            tracemalloc.start(1)
            try:
                assert await outcome(fetcher, one.url()) == large
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            # Each piece by itself took fifty bytes or more.
            assert peak < 4 * len(large) + 1024 * 1024

    run(test())


def test_a_body_that_is_shorter_than_its_length_says_is_a_dropped_connection() -> None:
    async def short(visit: Visit) -> None:
        await visit.say(head(200, f"Content-Length: {len(IMAGE)}") + IMAGE[:-1])
        visit.writer.close()

    async def test() -> None:
        async with host(short) as one, fetching(one.entry, fetch_tries=2) as fetcher:
            error = await outcome(fetcher, one.url())
            assert isinstance(error, FetchFailedError)
            assert len(one.visits) == 2
        async with host(one_after_the_other(short, with_image())) as one, fetching(one.entry) as fetcher:
            assert await outcome(fetcher, one.url()) == IMAGE

    run(test())


@pytest.mark.parametrize("pause", [0.0, 0.05])
@pytest.mark.parametrize("surplus", [b"more of it", whole(b"of another")])
def test_a_body_that_is_longer_than_its_length_says_is_cut_and_spoils_only_its_connection(
    surplus: bytes, pause: float
) -> None:
    async def long(visit: Visit) -> None:
        await visit.say(whole(IMAGE) + (b"" if pause else surplus))
        if pause:
            await asyncio.sleep(pause)
            await visit.say(surplus)

    async def test() -> None:
        async with host(one_after_the_other(long, with_image())) as one, fetching(one.entry) as fetcher:
            assert await outcome(fetcher, one.url()) == IMAGE
            await until(lambda: one.open == 0)
            assert await outcome(fetcher, one.url()) == IMAGE
            assert [visit.connection for visit in one.visits] == [1, 2]

    run(test())


async def byte_by_byte(visit: Visit) -> None:
    await visit.say_slowly(whole(IMAGE))


async def head_byte_by_byte(visit: Visit) -> None:
    await visit.say_slowly(head(200, "X-Slow: " + "a" * 10_000))


async def interim_for_ever_slowly(visit: Visit) -> None:
    while True:
        await visit.say(head(100))
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("answer", [byte_by_byte, head_byte_by_byte, interim_for_ever_slowly])
def test_a_host_that_trickles_is_left_when_the_time_is_over(answer: Answer) -> None:
    async def test() -> None:
        async with host(answer) as one, fetching(one.entry, fetch_timeout_seconds=1.5) as fetcher:
            error = await outcome(fetcher, one.url())
            assert isinstance(error, FetchTimeoutError)
            assert error.detail == "The image was not there after 1.5 s."
            assert len(one.visits) == 1

    run(test())


def test_a_host_that_says_nothing_is_left_sooner() -> None:
    async def test() -> None:
        async with (
            host(Visit.wait_for_ever) as one,
            fetching(one.entry, fetch_first_byte_timeout_seconds=0.3) as fetcher,
        ):
            error = await outcome(fetcher, one.url())
            assert isinstance(error, FetchTimeoutError)
            assert error.detail == "No answer began within 0.3 s."

    run(test())


BOMB = gzip.compress(bytes(10_000_000))


@pytest.mark.parametrize(
    "answer",
    [
        saying(whole(BOMB, 200, "Content-Encoding: gzip")),
        saying(whole(BOMB, 200, "content-encoding:  GZIP ")),
        saying(whole(BOMB, 200, "Content-Encoding: identity, gzip")),
        saying(head(200, "Transfer-Encoding: gzip, chunked") + b"%x\r\n%b\r\n0\r\n\r\n" % (len(BOMB), BOMB)),
    ],
)
def test_what_is_compressed_is_refused_as_it_is(answer: Answer) -> None:
    async def test() -> None:
        async with host(answer) as one, fetching(one.entry) as fetcher:
            assert isinstance(await outcome(fetcher, one.url()), FetchFailedError)
            assert len(one.visits) == 1

    run(test())


def test_a_bomb_that_does_not_say_what_it_is_stays_as_it_is() -> None:
    async def test() -> None:
        async with host(saying(whole(BOMB))) as one, fetching(one.entry) as fetcher:
            assert await outcome(fetcher, one.url()) == BOMB

    run(test())


def test_a_page_with_status_200_comes_back_as_it_is() -> None:
    page = b"<!doctype html><title>Sorry</title>"

    async def test() -> None:
        async with host(saying(whole(page, 200, "Content-Type: text/html"))) as one, fetching(one.entry) as fetcher:
            assert await outcome(fetcher, one.url()) == page

    run(test())


async def head_without_end(visit: Visit) -> None:
    await visit.say(b"HTTP/1.1 200 OK\r\n")
    await visit.say_for_ever(b"X: " + b"a" * 1000 + b"\r\n")


async def header_without_end(visit: Visit) -> None:
    await visit.say(b"HTTP/1.1 200 OK\r\nX: ")
    await visit.say_for_ever(b"a" * 1000)


async def interim_without_end(visit: Visit) -> None:
    await visit.say_for_ever(head(103, "Link: </a.css>"))


async def trailers_without_end(visit: Visit) -> None:
    await visit.say(head(200, "Transfer-Encoding: chunked") + b"1\r\nx\r\n0\r\n")
    await visit.say_for_ever(b"X: " + b"a" * 1000 + b"\r\n")


async def extension_without_end(visit: Visit) -> None:
    await visit.say(head(200, "Transfer-Encoding: chunked") + b"1;")
    await visit.say_for_ever(b"a" * 1000)


@pytest.mark.parametrize(
    "answer",
    [
        head_without_end,
        header_without_end,
        interim_without_end,
        trailers_without_end,
        extension_without_end,
        saying(b"nonsense\r\n\r\n"),
        saying(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
        saying(head(200, "Content-Length: 3", "Content-Length: 4") + b"abcd"),
        saying(head(200, "Content-Length: 3", "Transfer-Encoding: chunked") + b"1\r\nx\r\n0\r\n\r\n"),
        saying(head(200, "Content-Length: -1")),
        saying(head(101, "Upgrade: galaxies", "Connection: upgrade") + whole(IMAGE)),
        with_status(204),
        with_status(206),
        with_status(304),
        with_status(404),
        with_status(401, "WWW-Authenticate: Basic"),
        with_status(500),
        with_status(302),
        saying(whole(bytes(200_000), 404)),
        saying(head(404, "Transfer-Encoding: chunked") + b"%x\r\n%b\r\n" % (100_000, bytes(100_000))),
    ],
)
def test_answers_that_are_no_image_are_told_of_in_one_way_and_not_asked_for_again(answer: Answer) -> None:
    async def test() -> None:
        async with host(answer) as one, fetching(one.entry) as fetcher:
            error = await outcome(fetcher, one.url())
            assert isinstance(error, FetchFailedError)
            assert (error.status, error.code, error.detail) == (502, "fetch_failed", UNUSABLE)
            assert len(one.visits) == 1

    run(test())


async def told(public: Host, *hosts: Host) -> str:
    async with fetching(" ".join(each.entry for each in (public, *hosts)), fetch_tries=1) as fetcher:
        error = await outcome(fetcher, public.url())
        assert isinstance(error, FetchFailedError)
        return error.detail


def test_only_of_public_hosts_it_is_told_what_they_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    def so_to_speak(address: Address) -> bool:
        return str(address) == "127.0.0.2" or is_public(address)

    monkeypatch.setattr(app.fetching.pool, "is_public", so_to_speak)

    async def test() -> None:
        async with AsyncExitStack() as stack:
            hosts = {
                name: await stack.enter_async_context(host(answer, address))
                for name, answer, address in (
                    ("missing", with_status(404), "127.0.0.2"),
                    ("busy", with_status(503), "127.0.0.2"),
                    ("round", redirecting("/"), "127.0.0.2"),
                    ("inside", with_status(404), INSIDE),
                )
            }
            inside = hosts["inside"]
            hosts["in"] = await stack.enter_async_context(host(redirecting(inside.url()), "127.0.0.2"))
            hosts["out"] = await stack.enter_async_context(host(redirecting(hosts["missing"].url()), INSIDE))
            assert await told(hosts["missing"]) == "The host answered 404."
            assert await told(hosts["busy"]) == "The host answered 503."
            assert await told(hosts["round"]) == "The URL leads to more than 3 redirects."
            # Nor of what comes after one that is not.
            assert await told(inside) == UNUSABLE
            assert await told(hosts["in"], inside) == UNUSABLE
            assert await told(hosts["out"], hosts["missing"]) == UNUSABLE

    run(test())


@pytest.mark.parametrize(
    "to", ["http://user@images.example/", "file:///etc/passwd", "http://other.example/", "http://["]
)
def test_where_a_host_inside_redirects_is_not_told(to: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def so_to_speak(address: Address) -> bool:
        return str(address) == "127.0.0.2"

    monkeypatch.setattr(app.fetching.pool, "is_public", so_to_speak)

    async def test() -> None:
        details = []
        for address in ("127.0.0.2", INSIDE):
            async with host(redirecting(to), address) as one, fetching(one.entry) as fetcher:
                error = await outcome(fetcher, one.url())
                assert isinstance(error, UrlForbiddenError)
                details.append(error.detail)
        assert details[0].startswith("The URL is not fetched: it")
        assert details[1] == "The URL is not fetched: it leads to where nothing is fetched from."

    run(test())


def test_a_name_that_leads_nowhere_and_one_that_nobody_knows() -> None:
    async def test() -> None:
        async with (
            name_server(failing_test=[], empty_test=[[]]) as names,
            fetching("*", fetch_name_servers=f"127.0.0.1:{names.port}", fetch_tries=1) as fetcher,
        ):
            details = []
            for name in ("unknown.test", "empty.test", "failing.test"):
                error = await outcome(fetcher, f"http://{name}/")
                assert isinstance(error, FetchFailedError)
                details.append(error.detail)
            assert details == [
                "The URL's host is not known.",
                "The URL's host is not known.",
                "The name servers gave no answer on the URL's host.",
            ]

    run(test())


@pytest.mark.parametrize("url", ["http://localhost/", "http://intranet/", "http://images.example:8080/"])
def test_what_is_not_listed_is_not_looked_up(url: str) -> None:
    async def test() -> None:
        async with (
            name_server(localhost=[["127.0.0.1"]], intranet=[["10.0.0.1"]]) as names,
            fetching("* below.example:8080", fetch_name_servers=f"127.0.0.1:{names.port}") as fetcher,
        ):
            error = await outcome(fetcher, url)
            assert isinstance(error, UrlForbiddenError)
            named = url.removeprefix("http://").removesuffix("/")
            assert error.detail == (
                f"The URL is not fetched: {named} is not among what the service's GALAXYTREE_FETCH_HOSTS lists."
            )
            assert names.asked == []

    run(test())


def test_a_host_that_is_not_listed_is_not_named_where_a_redirect_leads_there() -> None:
    async def test() -> None:
        async with host(redirecting("http://inside.example/")) as one, fetching(one.entry) as fetcher:
            error = await outcome(fetcher, one.url())
            assert isinstance(error, UrlForbiddenError)
            assert "inside" not in error.detail

    run(test())
