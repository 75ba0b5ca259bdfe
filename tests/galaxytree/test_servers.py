"""Which of several services is asked, and for how long one that fails is left alone."""

import pytest

from galaxytree.servers import FIRST_REST_SECONDS, LONGEST_REST_SECONDS, Server, Servers, addresses_of


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def servers(clock: Clock) -> Servers:
    return Servers(["http://a", "http://b"], clock)


def test_addresses_are_written_in_several_ways() -> None:
    assert addresses_of("http://a:8000/") == ("http://a:8000",)
    assert addresses_of("http://a, https://b/x/  http://a") == ("http://a", "https://b/x")
    assert addresses_of(["http://a", "http://b,http://c"]) == ("http://a", "http://b", "http://c")


@pytest.mark.parametrize(
    "given", ["", [], "a:8000", "ftp://a", "http://", "http://a:b", "http://a,b", "http://a/?x=1", "http://[::"]
)
def test_what_is_no_address_says_how_to_write_one(given: str | list[str]) -> None:
    with pytest.raises(ValueError, match=r"no address of a service: write it like http://127\.0\.0\.1:8000"):
        addresses_of(given)


def test_the_one_with_the_least_to_do_is_asked(servers: Servers) -> None:
    with servers.one() as first, servers.one() as second:
        assert {first.url, second.url} == {"http://a", "http://b"}
        with servers.one() as third:
            assert third.outstanding == 2
        assert (first.outstanding, second.outstanding) == (1, 1)
    assert str(servers) == "http://a, http://b"


def asked(servers: Servers, times: int = 40) -> set[str]:
    found = set()
    for _ in range(times):
        with servers.one() as server:
            found.add(server.url)
    return found


def one_of(servers: Servers, url: str) -> Server:
    return next(each for each in servers._all if each.url == url)


def test_equals_take_turns_by_chance(servers: Servers) -> None:
    assert asked(servers) == {"http://a", "http://b"}


def test_one_that_fails_rests_for_longer_each_time(servers: Servers, clock: Clock) -> None:
    bad = one_of(servers, "http://a")
    rest = FIRST_REST_SECONDS
    for _ in range(30):
        servers.failed(bad, clock.now)
        assert asked(servers) == {"http://b"}
        clock.now += rest - 0.001
        assert asked(servers) == {"http://b"}
        clock.now += 0.002
        assert asked(servers) == {"http://a", "http://b"}
        rest = min(2 * rest, LONGEST_REST_SECONDS)
    servers.well(bad)
    servers.failed(bad, clock.now)
    assert bad.rests_until == clock.now + FIRST_REST_SECONDS


def test_what_was_in_flight_together_fails_once(servers: Servers, clock: Clock) -> None:
    bad, since = one_of(servers, "http://a"), clock.now
    for _ in range(20):
        servers.failed(bad, since)
        clock.now += 0.001
    assert bad.failures == 1
    assert asked(servers) == {"http://b"}


def test_one_that_failed_is_tried_by_one_at_a_time(servers: Servers, clock: Clock) -> None:
    bad = one_of(servers, "http://a")
    servers.failed(bad, clock.now)
    clock.now += 1
    with servers.one() as first, servers.one() as second:
        # One of the two is the trial; whatever comes now goes to the one that is well.
        assert {first.url, second.url} == {"http://a", "http://b"}
        assert asked(servers) == {"http://b"}


def test_if_all_rest_it_is_told_for_how_long_and_the_first_to_wake_is_asked(servers: Servers, clock: Clock) -> None:
    assert (servers.rest_seconds, servers.untried) == (0, True)
    servers.rest(one_of(servers, "http://a"), 5)
    servers.rest(one_of(servers, "http://b"), 3)
    servers.rest(one_of(servers, "http://b"), 1)
    assert servers.rest_seconds == 3
    assert asked(servers) == {"http://b"}
    assert servers.untried
    for url in ("http://a", "http://b"):
        servers.failed(one_of(servers, url), clock.now + 10)
    assert not servers.untried
