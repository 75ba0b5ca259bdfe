"""Requests that come when they come, at a rate that the machine can just bear."""

from pydantic import BaseModel

from benchmarks.client import run
from benchmarks.loads import arrivals, open_loop, statuses
from benchmarks.percentiles import Percentiles
from benchmarks.scenarios.setting import Setting

PART_OF_LIMIT = 0.8
SECONDS = 60.0
_LINES = 256


class OpenLoop(BaseModel):
    """How long answers take while requests come at random.

    Attributes
    ----------
    rate
        Requests a second, on average.
    times
        Of the requests that were answered 200, from when they were to be sent.
    lone
        Of requests that come one after the other.
    """

    rate: float
    seconds: float
    times: Percentiles
    lone: Percentiles
    statuses: dict[str, int]
    client_per_thousand: float


def measure(setting: Setting) -> OpenLoop:
    """Send at 80 % of the limit for a minute, on up to 256 connections."""
    rate, seconds = PART_OF_LIMIT * setting.limit, SECONDS * setting.scale
    times = arrivals(rate, seconds)
    with setting.warm() as server:
        lone = setting.lone(server)
        exchanges, spent = run(open_loop(server.port, setting.jobs(), times, _LINES))
    return OpenLoop(
        rate=rate,
        seconds=seconds,
        times=Percentiles.of([each.seconds for each in exchanges if each.status == 200]),
        lone=lone,
        statuses=statuses(exchanges),
        client_per_thousand=1000 * spent / max(len(exchanges), 1),
    )
