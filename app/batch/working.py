"""A batch in work: so many items at a time, read only as fast as they are worked on and their results are read."""

import asyncio
import logging

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from app.batch.items import Intake
from app.batch.way import Way
from app.errors import BodyTimeoutError, InternalError, ServiceError

UNSENT_BYTES = 64 * 1024
"""So many bytes of results wait to be sent before those who work stop to wait for that."""

_log = logging.getLogger(__name__)


class Work:
    """What becomes of the items of one batch.

    Parameters
    ----------
    intake
        The items.
    way
        What is done for each.
    concurrency
        For how many at a time.
    body_seconds
        For how long the client may be waited for while there is nothing else to do.
    keeps
        Whether all results may be kept until they are read.

    Attributes
    ----------
    ok, failed
        How many results there have been of each kind.
    answered
        Whether the answer has begun: what is in work is finished then even if nothing more can be read.
    error
        Why nothing more is read, if that is so.
    """

    def __init__(self, intake: Intake, way: Way, concurrency: int, body_seconds: float, *, keeps: bool) -> None:
        self.ok = self.failed = 0
        self.answered = False
        self.error: ServiceError | ClientDisconnect | None = None
        self._intake = intake
        self._way = way
        self._pictures = way.pictures
        self._keeps = keeps
        self._concurrency = concurrency
        self._body_seconds = body_seconds
        self._loop = asyncio.get_running_loop()
        self._results: list[tuple[int, bytes]] = []
        self._unsent = 0
        self._room = asyncio.Event()
        self._news = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._live = 0
        self._idle_since = self._loop.time()
        self._reader: asyncio.Task[None] | None = None
        self._watch: asyncio.TimerHandle | None = None

    def start(self, receive: Receive) -> None:
        """Begin to read, and to work on what is read."""
        self._reader = asyncio.create_task(self._read(receive))
        self._watch = self._loop.call_later(self._body_seconds, self._look)

    async def results(self) -> list[tuple[int, bytes]]:
        """Wait for results: each with its item's index, as JSON. None are left if there are none.

        Raises
        ------
        ServiceError
            If nothing more can be read, and nothing has been answered.
        starlette.requests.ClientDisconnect
            If the client has gone.
        """
        while True:
            if self.error is not None and (not self.answered or isinstance(self.error, ClientDisconnect)):
                raise self.error
            if self._results or (self._intake.closed and not self._live):
                found, self._results = self._results, []
                if self._pictures is not None:
                    self._pictures.leave()
                return found
            await self._news.wait()
            self._news.clear()

    @property
    def done(self) -> bool:
        """Whether there is a result for each item, and nothing is left to be read."""
        return self._intake.closed and self.error is None and not self._live and not self._intake.ready

    def sent(self) -> None:
        """Hear that results have been sent: there is room for others."""
        self._unsent = 0
        if self._pictures is not None:
            self._pictures.gone()
        self._room.set()

    def stop(self, error: ServiceError | ClientDisconnect) -> None:
        """Read no more; what is in work goes on."""
        if self.error is None or isinstance(error, ClientDisconnect):
            self.error = error
        self._intake.close()
        if self._reader is not None:
            self._reader.cancel()
        self._news.set()

    def gone(self) -> None:
        """Hear that the client has gone."""
        self.stop(ClientDisconnect())

    async def end(self) -> None:
        """Let everything go that is still in work."""
        if self._watch is not None:
            self._watch.cancel()
        tasks = [*self._tasks, *([] if self._reader is None else [self._reader])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._pictures is not None:
            self._pictures.close()
        self._intake.close()

    async def _read(self, receive: Receive) -> None:
        try:
            await self._intake.read(receive, self._arrived)
            # Who goes now is still to be noticed.
            while (await receive())["type"] != "http.disconnect":
                pass
            self.gone()
        except (ServiceError, ClientDisconnect) as error:
            self.stop(error)
        except Exception:  # noqa: BLE001 (whatever it is, the client is to be told)
            _log.exception("unexpected error in reading a batch")
            self.stop(InternalError())

    def _arrived(self) -> None:
        """Have as many items worked on as may be."""
        for _ in range(min(self._concurrency - self._live, self._intake.ready)):
            self._live += 1
            task = self._loop.create_task(self._serve())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._news.set()

    async def _serve(self) -> None:
        """Work on one item after the other while there are any."""
        intake, result = self._intake, self._way.result
        try:
            while (item := intake.next()) is not None:
                ok, line = await result(item)
                if ok:
                    self.ok += 1
                else:
                    self.failed += 1
                self._results.append((item.index, line))
                self._news.set()
                if not self._keeps:
                    self._unsent += len(line)
                    if self._unsent > UNSENT_BYTES:
                        self._room.clear()
                        await self._room.wait()
        except asyncio.CancelledError:
            # Whoever cancels one that works on an item ends the whole answer: it must not look as if it were whole.
            self.stop(InternalError())
            raise
        except Exception:  # noqa: BLE001 (an item would be left without its result)
            _log.exception("unexpected error in a batch")
            self.stop(InternalError())
        finally:
            self._live -= 1
            if not self._live:
                self._idle_since = self._loop.time()
                self._news.set()

    def _look(self) -> None:
        """Stop if the client has been waited for, and for nothing else, for too long."""
        hungry, now = self._intake.hungry_since, self._loop.time()
        since = now if hungry is None or self._live else max(hungry, self._idle_since)
        left = since + self._body_seconds - now
        if self._intake.closed:
            return
        if left <= 0:
            msg = f"The body did not go on within {self._body_seconds:g} s."
            self.stop(BodyTimeoutError(msg))
        else:
            self._watch = self._loop.call_later(left, self._look)
