"""Each request has an id: in the header ``X-Request-ID`` of its answer, and in every line that is logged for it."""

import logging
import random
import re
from contextvars import ContextVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = b"x-request-id"
KEY = "galaxytree.request_id"
"""Where a request's scope has its id."""

_SANE = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_current: ContextVar[str] = ContextVar("request_id", default="-")


def id_of(scope: Scope) -> bytes:
    """Return the id that came in with a request where it is sane, and a new one where it isn't."""
    asked = next((value for name, value in scope["headers"] if name == HEADER), b"")
    return asked if _SANE.fullmatch(asked) else b"%032x" % random.getrandbits(128)


def current_id() -> str:
    """Return the id of the request that is served; ``-`` outside of one."""
    return _current.get()


class as_current:  # noqa: N801 (it reads as the function that it would be if generators were not slow)
    """Serve the request with this id in the ``with`` block."""

    __slots__ = ("_id", "_token")

    def __init__(self, request_id: bytes) -> None:
        self._id = request_id.decode()

    def __enter__(self) -> None:
        self._token = _current.set(self._id)

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)


class RequestId:
    """Middleware: gives each answer the id of its request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = scope[KEY] = id_of(scope)
        header = (HEADER, request_id)

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), header]
            await send(message)

        with as_current(request_id):
            await self._app(scope, receive, marked)


class RequestIdFilter(logging.Filter):
    """Gives each log record the id of the request that it was logged for, ``-`` outside of one."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Set ``record.request_id``, unless whoever logged did; let every record through."""
        if not hasattr(record, "request_id"):
            record.request_id = _current.get()
        return True
