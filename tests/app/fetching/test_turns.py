"""Who may fetch now."""

import asyncio

from app.fetching.turns import Turns
from tests.hostile.hosts import run


async def take(turns: Turns, host: str, order: list[str]) -> None:
    if not turns.take_now(host):
        await turns.wait(host)
    order.append(host)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_so_many_in_all_and_so_many_from_one_host() -> None:
    turns = Turns(3, 2)
    assert [turns.take_now(each) for each in "aaab"] == [True, True, False, True]
    assert turns.free == 0
    turns.give_back("a")
    assert turns.free == 1


def test_hosts_take_turns_and_their_own_come_in_order() -> None:
    async def test() -> None:
        turns, order = Turns(1, 1), list[str]()
        assert turns.take_now("first")
        tasks = [asyncio.create_task(take(turns, each, order)) for each in "aaabbc"]
        await settle()
        assert order == []
        for host in ("first", *"abcab"):
            turns.give_back(host)
            await settle()
        await asyncio.gather(*tasks)
        assert order == list("abcaba")
        turns.give_back("a")
        assert turns.free == 1

    run(test())


def test_a_host_that_is_full_keeps_nobody_else_waiting() -> None:
    async def test() -> None:
        turns, order = Turns(2, 1), list[str]()
        assert turns.take_now("a")
        waiting = asyncio.create_task(take(turns, "a", order))
        await settle()
        assert turns.take_now("b")
        turns.give_back("b")
        await settle()
        assert order == []
        turns.give_back("a")
        await waiting
        turns.give_back("a")
        assert turns.free == 2

    run(test())


def test_who_goes_while_waiting_takes_no_place() -> None:
    async def test() -> None:
        turns, order = Turns(1, 1), list[str]()
        assert turns.take_now("a")
        gone, given, stays = (asyncio.create_task(take(turns, "a", order)) for _ in range(3))
        other = asyncio.create_task(take(turns, "b", order))
        await settle()
        gone.cancel()
        await settle()
        # Now it is given its place, and goes before it learns of it.
        turns.give_back("a")
        given.cancel()
        await settle()
        assert order == ["b"]
        turns.give_back("b")
        await asyncio.gather(stays, other)
        assert order == ["b", "a"]
        turns.give_back("a")
        assert turns.free == 1
        assert turns.take_now("a")

    run(test())


def test_who_goes_in_the_same_moment_is_passed_over() -> None:
    async def test() -> None:
        turns, order = Turns(1, 1), list[str]()
        assert turns.take_now("a")
        gone, stays = (asyncio.create_task(take(turns, "a", order)) for _ in range(2))
        await settle()
        gone.cancel()
        turns.give_back("a")
        await stays
        assert order == ["a"]
        turns.give_back("a")
        assert turns.free == 1

    run(test())
