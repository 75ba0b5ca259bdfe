"""The way of one item of a batch: fetched if it is a URL, let in when there is room, to the workers, and its result."""

import asyncio
import logging

import orjson

from app.access import Ticket
from app.admission import Admission
from app.batch.items import Item
from app.batch.pictures import Pictures, picture_json, result_bytes
from app.errors import InternalError, RateLimitedError, ServiceError, TryLaterError
from app.jobs import Answered, Job
from app.problems import problem_json
from app.request_id import current_id
from app.service import Service
from app.telemetry.numbers import CUT_OFF, OK
from app.waiting import Outcome
from galaxytree.views import Views

EXPECTED_BYTES = 1024 * 1024
"""What an image that is being fetched is taken to have at least, until it is there."""

FORGOTTEN = 16
"""Where images before it were larger it is taken to have as much, less a part in so many for each that was smaller."""

_log = logging.getLogger(__name__)


class _Room:
    """Bytes that are held for an image, as `app.fetching.fetcher.Room`."""

    __slots__ = ("_admission", "_expected", "held")

    def __init__(self, admission: Admission, expected: int, held: int) -> None:
        self._admission = admission
        self._expected = expected
        self.held = held

    async def hold(self) -> None:
        await self._admission.hold_in_turn(self._expected)
        self.held = self._expected

    def keep(self, count: int) -> None:
        """Hold so many from now on."""
        held, self.held = self.held, count
        self._admission.give_back(images=0, count=held - count)

    def let_go(self) -> None:
        self.keep(0)


class Way:
    """What is done for each item of a batch.

    Parameters
    ----------
    service
    views, full, bulk
        What is asked for, as in `app.jobs.Job`.
    pictures
        Where the pictures that results are to have are held; None if they have none.
    ticket
        The request's, where it has one.
    """

    def __init__(
        self,
        service: Service,
        views: Views,
        *,
        full: bool,
        bulk: bool,
        pictures: Pictures | None = None,
        ticket: Ticket | None = None,
    ) -> None:
        self.pictures = pictures
        self._service = service
        self._admission = service.admission
        self._fetcher = service.fetcher
        self._views = views
        self._full = full
        self._bulk = bulk
        self._ticket = ticket
        most = service.settings.max_image_bytes
        self._expected = self._least = min(EXPECTED_BYTES, most) if pictures is None else result_bytes(most)
        self._loop = asyncio.get_running_loop()
        self._request_id = current_id()
        self._items = service.telemetry.numbers.items

    async def result(self, item: Item) -> tuple[bool, bytes]:
        """Return whether an item was scored, and its result as JSON; whatever happens, it has one."""
        try:
            if item.error is not None:
                return self._failed(item, item.error)
            scored = await self._counted(item)
        except ServiceError as error:
            return self._failed(item, error)
        except asyncio.CancelledError:
            self._items[CUT_OFF] += 1
            raise
        except Exception:  # noqa: BLE001 (as the middleware does for a request; this is one of many)
            _log.exception("unexpected error in item %d of a batch", item.index)
            return self._failed(item, InternalError())
        self._items[OK] += 1
        return True, scored

    def _failed(self, item: Item, error: ServiceError) -> tuple[bool, bytes]:
        self._items[error.code] += 1
        return False, _failed(item, error)

    async def _counted(self, item: Item) -> bytes:
        """Count it as an image of the caller's, unless the service has no time for it or fails."""
        if self._ticket is None:
            return await self._scored(item)
        try:
            self._ticket.take_image()
        except RateLimitedError:
            self._admission.give_back(images=0, count=len(item.data or b""))
            item.data = None
            raise
        try:
            return await self._scored(item)
        except (TryLaterError, InternalError):
            self._ticket.give_back_image()
            raise

    async def _scored(self, item: Item) -> bytes:
        admission = self._admission
        room = _Room(admission, self._expected, 0 if item.data is None else len(item.data))
        images = 0
        try:
            if item.data is None:
                data = await self._fetcher.fetch(item.url, room)
                self._expected = max(self._least, len(data), self._expected - self._expected // FORGOTTEN)
                room.keep(len(data) if self.pictures is None else result_bytes(len(data)))
            else:
                data, item.data = item.data, None
            await admission.enter_in_turn(self._views)
            images = self._views
            answered = await self._answered(data)
            if self.pictures is None:
                return _scored(item, answered)
            result = _scored(item, answered, b',"picture":%b' % picture_json(data))
            self.pictures.hold(result)
            return result
        finally:
            admission.give_back(images=images, count=room.held)

    async def _answered(self, data: bytes) -> Answered:
        answered: asyncio.Future[Outcome] = self._loop.create_future()

        def settle(outcome: Outcome) -> None:
            if not answered.done():
                answered.set_result(outcome)

        pool = self._service.pool
        entry = pool.submit(Job(data, self._views, full=self._full, bulk=self._bulk), settle, self._request_id)
        try:
            outcome = await answered
        except asyncio.CancelledError:
            pool.drop(entry)
            raise
        if isinstance(outcome, ServiceError):
            raise outcome
        return outcome


def _scored(item: Item, answered: Answered, more: bytes = b"") -> bytes:
    return b'{"index":%d,"id":%b,"status":"ok","classification":%b%b}' % (
        item.index,
        orjson.dumps(item.id),
        answered.body,
        more,
    )


def _failed(item: Item, error: ServiceError) -> bytes:
    return b'{"index":%d,"id":%b,"status":"error","error":%b}' % (
        item.index,
        orjson.dumps(item.id),
        problem_json(error),
    )
