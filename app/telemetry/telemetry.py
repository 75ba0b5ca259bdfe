"""What a service tells of itself, put together."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

from app.settings import Settings
from app.telemetry.access_log import AccessLog
from app.telemetry.numbers import Numbers
from app.telemetry.seen import Seen
from app.telemetry.traces import Traces, traces_of

_log = logging.getLogger(__name__)


@dataclass
class Telemetry:
    """What is told, and to whom.

    Attributes
    ----------
    numbers
        What is counted.
    access_log, traces
        Where each request is told of; None where it isn't.
    """

    numbers: Numbers = field(default_factory=Numbers)
    access_log: AccessLog | None = None
    traces: Traces | None = None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return what is set.

        Raises
        ------
        TracesRefusedError
            If traces are asked for, and what makes them isn't installed.
        """
        kind = settings.access_log
        log = None if kind == "off" else AccessLog(quiet=kind == "quiet")
        return cls(access_log=log, traces=traces_of(settings.traces_endpoint))

    @cached_property
    def tells(self) -> bool:
        """Whether each request is told of, by itself."""
        return self.access_log is not None or self.traces is not None

    def tell(self, seen: Callable[[], Seen]) -> None:
        """Tell of a request. Whatever goes wrong with that, it has been served."""
        try:
            if self.access_log is not None:
                self.access_log.put(seen)
            if self.traces is not None:
                self.traces.put(seen())
        except Exception:  # noqa: BLE001 (see above)
            _log.exception("a request could not be told of")

    def start(self) -> None:
        """Begin to tell."""
        if self.access_log is not None:
            self.access_log.start()

    async def stop(self) -> None:
        """Tell what is left to tell, but don't wait for long."""
        if self.traces is not None:
            await self.traces.close()
        if self.access_log is not None:
            self.access_log.close()
