"""One item of a batch, and how items come in."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from app.errors import InvalidRequestError, ServiceError


@dataclass(slots=True)
class Item:
    """One image that is asked for.

    Attributes
    ----------
    index
        Its place in the batch, from 0.
    id
        What its sender calls it.
    url
        Where it is to be fetched from, if it did not come itself.
    data
        Its bytes, if they came; as many are held in `app.admission` for it.
    error
        What was wrong with it already as it came in.
    """

    index: int
    id: str | None
    url: str = ""
    data: bytes | None = None
    error: ServiceError | None = None


class Intake(ABC):
    """The items of one request, as they come in.

    Attributes
    ----------
    bounded
        Whether there are only so many of them.
    closed
        Whether no more will come.
    hungry_since
        Since when the client has been waited for, on the loop's clock; None while it isn't.
    """

    bounded = True

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.closed = False
        self.hungry_since: float | None = None

    @property
    @abstractmethod
    def ready(self) -> int:
        """How many items are there to be taken, about."""

    @abstractmethod
    def next(self) -> Item | None:
        """Take the next item; None if none is there, for now or, if `closed`, for ever."""

    @abstractmethod
    async def read(self, receive: Receive, arrived: Callable[[], object]) -> None:
        """Read the body to its end.

        Parameters
        ----------
        receive
            The request's, of ASGI.
        arrived
            Is called when there are items to be taken, and when there will be no more.

        Raises
        ------
        ServiceError
            If what comes is nothing to go on with.
        starlette.requests.ClientDisconnect
            If the client goes.
        """

    def close(self) -> None:
        """Forget what was not taken; nothing more will come."""
        self.closed = True


async def body_of(receive: Receive) -> Message:
    """Receive a piece of a body; ClientDisconnect if there is nobody any more."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message


def no_items() -> InvalidRequestError:
    """Return the error of a batch of nothing."""
    return InvalidRequestError("There are no items in the body; send at least one.")


def too_many(most: int) -> InvalidRequestError:
    """Return the error of a batch that is longer than one of its kind may be."""
    msg = (
        f"There are more than {most} items (batch_items; of a document with picture=true, 1). Send less at a time; or "
        "lines (application/x-ndjson), and take lines for the answer: of these there may be any number."
    )
    return InvalidRequestError(msg)
