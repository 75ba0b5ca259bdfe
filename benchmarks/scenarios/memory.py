"""What the service holds after very many requests."""

from pydantic import BaseModel

from benchmarks.client import run
from benchmarks.loads import closed_loop, statuses
from benchmarks.processes import Memory
from benchmarks.scenarios.setting import Setting

REQUESTS = (10_000, 50_000, 100_000)
LINES = 32


class Held(BaseModel):
    """Memory after so many requests, and its peak since the number before."""

    requests: int
    memory: Memory


class LongRun(BaseModel):
    """What the service holds as time goes by, the first when it is ready."""

    held: list[Held]
    statuses: dict[str, int]

    @property
    def growth_mib(self) -> float:
        """By how much what is resident grew from the first 10 % of the requests to the end."""
        return self.held[-1].memory.rss - self.held[1].memory.rss


def measure(setting: Setting) -> LongRun:
    """Send 100,000 requests from 32 connections."""
    jobs, done, counts = setting.jobs(), 0, dict[str, int]()
    with setting.warm() as server:
        held = [Held(requests=0, memory=server.process.memory())]
        for goal in REQUESTS:
            server.process.forget_peak()
            requests = int(goal * setting.scale) - done
            exchanges, _ = run(closed_loop(server.port, jobs, LINES, requests=requests))
            done += requests
            held.append(Held(requests=done, memory=server.process.memory()))
            for status, number in statuses(exchanges).items():
                counts[status] = counts.get(status, 0) + number
    return LongRun(held=held, statuses=counts)
