"""Clients that mean no good, beside others that come at a steady rate."""

import json
import subprocess
import sys
from typing import Any

from pydantic import BaseModel

from benchmarks.client import run
from benchmarks.hostile import ATTACKS, READY
from benchmarks.loads import arrivals, open_loop, statuses
from benchmarks.percentiles import Percentiles
from benchmarks.processes import Memory
from benchmarks.scenarios.setting import Setting
from benchmarks.scoring import ROOT
from benchmarks.serving import Server

PART_OF_LIMIT = 0.3
SECONDS = {"huge-image": 12.0, "long-upload": 12.0, "endless-upload": 12.0, "slow-upload": 60.0}
RULE = {"huge-image": "422", "long-upload": "413", "endless-upload": "413", "slow-upload": "408"}
_CALM_SECONDS = 6.0
_LINES = 64


class Attacked(BaseModel):
    """How the service fared under one kind of attack.

    Attributes
    ----------
    lines
        Connections of the attacker.
    outcomes
        How the attacker was answered; ``unfinished``: at the end of the attack not yet.
    rule
        The status that it should be answered.
    calm, times
        Times of the steady requests before the attack and during it.
    before, during
        Memory.
    attacker_seconds
        Processor time of the attacker, which shares the machine.
    """

    kind: str
    seconds: float
    lines: int
    outcomes: dict[str, int]
    rule: str
    calm: Percentiles
    times: Percentiles
    statuses: dict[str, int]
    before: Memory
    during: Memory
    attacker_seconds: float

    @property
    def growth_mib(self) -> float:
        """By how much memory grew at most."""
        return self.during.peak - self.before.rss

    @property
    def refused_by_rule(self) -> bool:
        """Whether the attacker got nothing but the status that it should, and as often as it has connections."""
        return set(self.outcomes) <= {self.rule, "unfinished"} and self.outcomes.get(self.rule, 0) >= self.lines


def measure(setting: Setting, kind: str) -> Attacked:
    """Attack a service that was just started, while others send at 30 % of the limit."""
    seconds = SECONDS[kind] * setting.scale
    with setting.warm() as server:
        calm, _ = _steady(setting, server, _CALM_SECONDS * setting.scale)
        before = server.process.memory()
        server.process.forget_peak()
        options = ["--port", str(server.port), "--path", setting.system.path, "--seconds", str(seconds)]
        command = [sys.executable, "-m", "benchmarks.hostile", kind, *options]
        with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as attacker:
            try:
                times, answered, said = _under_attack(setting, server, seconds, attacker)
            finally:
                attacker.kill()
        during = server.process.memory()
    return Attacked(
        kind=kind,
        seconds=seconds,
        lines=ATTACKS[kind][1],
        outcomes=said["outcomes"],
        rule=RULE[kind],
        calm=calm,
        times=times,
        statuses=answered,
        before=before,
        during=during,
        attacker_seconds=said["client_seconds"],
    )


def _under_attack(
    setting: Setting, server: Server, seconds: float, attacker: subprocess.Popen[str]
) -> tuple[Percentiles, dict[str, int], dict[str, Any]]:
    if attacker.stdout is None or attacker.stdin is None or attacker.stdout.readline().strip() != READY:
        msg = "the attacker did not come up"
        raise OSError(msg)
    attacker.stdin.write("\n")
    attacker.stdin.flush()
    times, answered = _steady(setting, server, seconds)
    said: dict[str, Any] = json.loads(attacker.communicate(timeout=60)[0])
    return times, answered, said


def _steady(setting: Setting, server: Server, seconds: float) -> tuple[Percentiles, dict[str, int]]:
    times = arrivals(PART_OF_LIMIT * setting.limit, seconds)
    exchanges, _ = run(open_loop(server.port, setting.jobs(), times, _LINES))
    return Percentiles.of([each.seconds for each in exchanges if each.status == 200]), statuses(exchanges)
