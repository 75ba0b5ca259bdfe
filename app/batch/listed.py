"""A batch as one JSON document, ``{"items": [...]}`` or ``{"urls": [...]}``."""

from collections import deque
from collections.abc import Callable

from pydantic import ValidationError
from starlette.types import Receive

from app.admission import Admission
from app.batch.items import Intake, Item, body_of, too_many
from app.batch.lines import LINE_BYTES
from app.errors import InvalidRequestError, PayloadTooLargeError
from galaxytree.schemas import BatchRequest

ITEM_BYTES = 4096
"""What an item of a document takes, at most and on average."""

ITEM_COLONS = 64
"""How many colons: one for each name, and those of a URL. To tell of very many names that are wrong takes seconds."""

_NAMED = 5


class Listed(Intake):
    """Items that come in one document.

    Parameters
    ----------
    clock
        The loop's.
    most
        How many there may be.
    admission
        Where the document's bytes are held.
    """

    def __init__(self, clock: Callable[[], float], most: int, admission: Admission) -> None:
        super().__init__(clock)
        self._most = most
        self._admission = admission
        self._held = 0
        self._items: deque[Item] = deque()

    @property
    def ready(self) -> int:
        """How many items are there to be taken."""
        return len(self._items)

    def next(self) -> Item | None:
        """Take the next item."""
        return self._items.popleft() if self._items else None

    async def read(self, receive: Receive, arrived: Callable[[], object]) -> None:
        """Read the document, all of it before anything is begun."""
        self.hungry_since = self._clock()
        pieces, more, limit = [], True, max(self._most * ITEM_BYTES, LINE_BYTES)
        while more:
            message = await body_of(receive)
            more = message.get("more_body", False)
            piece = message.get("body", b"")
            if self._held + len(piece) > limit:
                msg = f"The JSON has more than {limit} bytes; send less at a time, or lines (application/x-ndjson)."
                raise PayloadTooLargeError(msg)
            self._admission.take(count=len(piece), bulk=True)
            self._held += len(piece)
            pieces.append(piece)
        self.hungry_since = None
        self._items.extend(self._parse(b"".join(pieces)))
        self.closed = True
        arrived()

    def _parse(self, body: bytes) -> list[Item]:
        if body.count(b":") > self._most * ITEM_COLONS:
            msg = f"The JSON has more than {self._most * ITEM_COLONS} colons; send less at a time, or lines."
            raise PayloadTooLargeError(msg)
        try:
            asked = BatchRequest.model_validate_json(body)
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False, include_context=False)
            # Those that are wrong have been left out when it is looked whether there are any.
            found = [one for one in found if one["type"] != "too_short"] or found
            details = [f"{'.'.join(str(part) for part in one['loc']) or 'the body'}: {one['msg']}" for one in found]
            details[_NAMED:] = [f"and {len(found) - _NAMED} more"] if len(found) > _NAMED else []
            raise InvalidRequestError("; ".join(details)) from error
        if len(asked.items) + len(asked.urls) > self._most:
            raise too_many(self._most)
        urls = [Item(index, None, url) for index, url in enumerate(asked.urls)]
        return urls or [Item(index, item.id, item.url) for index, item in enumerate(asked.items)]

    def close(self) -> None:
        """Forget what was not taken."""
        super().close()
        self._items.clear()
        self._admission.give_back(images=0, count=self._held)
        self._held = 0
