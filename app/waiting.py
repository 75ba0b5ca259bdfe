"""One image that waits for its answer, as the service sees it."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.errors import ServiceError
from app.jobs import Answered, Job

if TYPE_CHECKING:
    from app.worker_link import WorkerLink

_log = logging.getLogger(__name__)

Outcome = Answered | ServiceError

_NOTHING = Job(b"")


def _nobody(_: Outcome) -> None:
    """Be told what becomes of an entry that nobody waits for."""


@dataclass(eq=False, slots=True)
class Entry:
    """One image that waits for its answer, or is worked on.

    Attributes
    ----------
    job
    done
        Is called with what becomes of it, once, unless it is dropped.
    request_id
        For the log.
    expires
        When it is no longer waited for, on the loop's clock.
    since
        When it came.
    gone
        Whether nobody waits for it any more; a worker may still have it.
    """

    job: Job
    done: Callable[[Outcome], object]
    request_id: str
    expires: float
    since: float
    gone: bool = False
    number: int = 0
    worker: "WorkerLink | None" = None
    # When its worker got it.
    given: float = 0.0
    # Whether a worker died that had it.
    suspect: bool = False
    # What its worker counts for it.
    weight: int = 0

    @property
    def bulk(self) -> bool:
        """Whether others may go ahead of it."""
        return self.job.bulk

    def finish(self, outcome: Outcome) -> None:
        """Tell who waits for it what became of it, if anyone does."""
        if not self.gone:
            done = self.done
            self.forget()
            try:
                done(outcome)
            except Exception:  # noqa: BLE001 (whatever it is, others wait for theirs)
                _log.exception("an answer could not be handed over", extra={"request_id": self.request_id})

    def forget(self) -> None:
        """Let go of all that it holds: it may be remembered for a while, and is held by what it calls."""
        self.gone = True
        self.job = _NOTHING
        self.done = _nobody
