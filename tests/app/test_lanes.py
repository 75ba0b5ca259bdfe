"""Who is next: interactive before bulk, and bulk still moves."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from app.lanes import BULK_TURN, Lanes


@dataclass
class Waiting:
    """One that waits."""

    name: int
    bulk: bool
    gone: bool = False


def all_of(lanes: Lanes[Waiting]) -> list[Waiting]:
    return list(iter(lanes.pop, None))


def filled(*waiting: Waiting) -> Lanes[Waiting]:
    lanes: Lanes[Waiting] = Lanes()
    for one in waiting:
        lanes.put(one)
    return lanes


def test_who_came_first_goes_first() -> None:
    for bulk in (False, True):
        lanes = filled(*(Waiting(name, bulk) for name in range(10)))
        assert [one.name for one in all_of(lanes)] == [*range(10)]
        assert lanes.empty()


def test_interactive_goes_ahead_of_bulk_that_came_before_it() -> None:
    lanes = filled(Waiting(0, bulk=True), Waiting(1, bulk=False))
    assert [one.name for one in all_of(lanes)] == [1, 0]


def test_bulk_still_moves_while_interactive_never_ends() -> None:
    lanes = filled(*(Waiting(name, bulk=True) for name in range(5)))
    taken = []
    for name in range(5 * BULK_TURN):
        lanes.put(Waiting(name, bulk=False))
        one = lanes.pop()
        assert one is not None
        taken.append(one.bulk)
    assert taken == [*[False] * (BULK_TURN - 1), True] * 5


def test_who_has_gone_is_left_out_and_takes_no_turn() -> None:
    lanes = filled(*(Waiting(name, bulk=name % 2 == 0, gone=name < 8) for name in range(10)))
    assert [one.name for one in all_of(lanes)] == [9, 8]
    assert lanes.pop() is None


@given(st.lists(st.tuples(st.booleans(), st.booleans())))
def test_everyone_who_stays_is_taken_once_in_the_order_of_their_lane(kinds: list[tuple[bool, bool]]) -> None:
    everyone = [Waiting(name, bulk, gone) for name, (bulk, gone) in enumerate(kinds)]
    taken = all_of(filled(*everyone))
    for bulk in (False, True):
        assert [one for one in taken if one.bulk is bulk] == [
            one for one in everyone if one.bulk is bulk and not one.gone
        ]
