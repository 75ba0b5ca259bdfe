"""Which ways of setting up peers are worth more than one round."""

from collections.abc import Mapping, Sequence

from benchmarks.results import Row
from benchmarks.settings import BUSY
from benchmarks.systems import ONE_PROCESS, SERVICE, Precision, System

NEAR = 0.9
"""As figures vary by a tenth, a way that is so near its peer's best may be the best."""

FAR = 0.5
"""What is not half as fast as the best of all peers will not come to be that."""

Loads = list[tuple[System, tuple[int, ...]]]
"""Systems, each with the numbers of connections at which it is measured."""


def worth_more_rounds(rows: Sequence[Row], plan: Loads) -> Loads:
    """Choose by the first round what is measured in the others.

    The service is, and what it is held against by name. Of the peers' other ways, those are that may be what it is held
    against at a load: near the best of their peer and not far from the best of all, or failed there but not everywhere.
    """
    first = [row for row in rows if row.round == 1 and row.system != SERVICE]

    def best(precision: Precision, connections: int, name: str | None = None) -> float:
        return max(
            row.load.good_per_second
            for row in first
            if (row.precision, row.load.connections) == (precision, connections) and name in {None, row.system}
        )

    def worth(system: System, connections: int, own: Mapping[int, float]) -> bool:
        if connections not in own:
            return bool(own)
        near, not_far = (
            NEAR * best(system.precision, connections, system.name),
            FAR * best(system.precision, connections),
        )
        return own[connections] >= max(near, not_far)

    chosen: Loads = []
    for system, loads in plan:
        if system.name == SERVICE or system.variant == ONE_PROCESS:
            chosen.append((system, loads))
            continue
        key = (system.precision, system.name, system.variant)
        own = {
            row.load.connections: row.load.good_per_second
            for row in first
            if (row.precision, row.system, row.variant) == key
        }
        again = tuple(each for each in loads if each in BUSY and worth(system, each, own))
        chosen += [(system, again)] if again else []
    return chosen
