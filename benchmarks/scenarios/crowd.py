"""Two thousand clients at once: those that wait when they are asked to, and those that don't."""

from pydantic import BaseModel

from app.settings import Settings
from benchmarks.client import run
from benchmarks.loads import TOO_MANY, crowd, statuses
from benchmarks.percentiles import Percentiles
from benchmarks.processes import Memory
from benchmarks.scenarios.setting import Setting

LINES = 2_000
SECONDS = 20.0


class Crowd(BaseModel):
    """How a crowd was served.

    Attributes
    ----------
    patient
        Whether who was answered 429 waited for as long as ``Retry-After`` says.
    queue_images
        The bound on images in service.
    accepted, refused
        Times of those answered 200 and 429.
    before, most, after
        Memory before the crowd, at its end, and when it has gone.
    lone_before, lone_after
        Times of requests that come one after the other.
    """

    patient: bool
    lines: int
    queue_images: int
    limit: float
    statuses: dict[str, int]
    per_second: float
    accepted: Percentiles
    refused: Percentiles
    before: Memory
    most: Memory
    after: Memory
    lone_before: Percentiles
    lone_after: Percentiles
    client_per_thousand: float

    @property
    def allowed_ms(self) -> float:
        """Twice the time in which this machine does as many images as may be in service."""
        return 2000 * self.queue_images / self.limit

    @property
    def growth_mib(self) -> float:
        """By how much memory grew at most."""
        return self.most.peak - self.before.rss


def measure(setting: Setting, *, patient: bool) -> Crowd:
    """Let 2,000 connections send at once, and go on for 20 s."""
    seconds = SECONDS * setting.scale
    with setting.warm() as server:
        lone_before, before = setting.lone(server), server.process.memory()
        server.process.forget_peak()
        exchanges, spent = run(crowd(server.port, setting.jobs(), LINES, seconds, patient=patient))
        most = server.process.memory()
        lone_after, after = setting.lone(server), server.process.memory()
    accepted = [each.seconds for each in exchanges if each.status == 200]
    return Crowd(
        patient=patient,
        lines=LINES,
        queue_images=Settings.model_fields["queue_images"].default,
        limit=setting.limit,
        statuses=statuses(exchanges),
        per_second=len(accepted) / seconds,
        accepted=Percentiles.of(accepted),
        refused=Percentiles.of([each.seconds for each in exchanges if each.status == TOO_MANY]),
        before=before,
        most=most,
        after=after,
        lone_before=lone_before,
        lone_after=lone_after,
        client_per_thousand=1000 * spent / max(len(exchanges), 1),
    )
