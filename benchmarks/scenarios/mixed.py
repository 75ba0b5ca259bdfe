"""Some of what comes is no image, or only the beginning of one."""

from pydantic import BaseModel

from benchmarks.client import post, run
from benchmarks.images import corrupt
from benchmarks.loads import closed_loop, mixed, statuses
from benchmarks.percentiles import Percentiles
from benchmarks.scenarios.setting import Setting

PART = 0.05
SECONDS = 10.0
LINES = 32


class Mixed(BaseModel):
    """How good and bad images were answered.

    Attributes
    ----------
    closed
        How often the server closed a connection that was to stay open.
    """

    good: dict[str, int]
    bad: dict[str, int]
    closed: int
    good_times: Percentiles
    per_second: float
    client_per_thousand: float


def measure(setting: Setting) -> Mixed:
    """Send from 32 connections, with 5 % cut-off JPEGs, text and empty bodies strewn in."""
    bad = [post(setting.system.path, body) for body in corrupt(setting.images)]
    seconds = SECONDS * setting.scale
    with setting.warm() as server:
        jobs = mixed(setting.requests, bad, PART)
        exchanges, spent = run(closed_loop(server.port, jobs, LINES, seconds=seconds))
    good = [each for each in exchanges if each.kind == "good"]
    return Mixed(
        good=statuses(good),
        bad=statuses([each for each in exchanges if each.kind == "bad"]),
        closed=sum(each.closed for each in exchanges),
        good_times=Percentiles.of([each.seconds for each in good if each.status == 200]),
        per_second=len(exchanges) / seconds,
        client_per_thousand=1000 * spent / max(len(exchanges), 1),
    )
