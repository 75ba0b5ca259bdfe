"""Each request has an id: in the header ``X-Request-ID`` of its answer, and in every line that is logged for it."""

import logging
import re
import uuid
from contextvars import ContextVar

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "X-Request-ID"
_SANE = re.compile(r"[A-Za-z0-9._-]{1,64}")
_current: ContextVar[str] = ContextVar("request_id", default="-")


class RequestId:
    """Middleware: takes over the id that came in where it is sane, and makes one up where it isn't."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = Headers(scope=scope).get(HEADER, "")
        request_id = asked if _SANE.fullmatch(asked) else uuid.uuid4().hex

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message.setdefault("headers", [])
                MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        token = _current.set(request_id)
        try:
            await self._app(scope, receive, marked)
        finally:
            _current.reset(token)


class RequestIdFilter(logging.Filter):
    """Gives each log record the id of the request that it was logged for, ``-`` outside of one."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Set ``record.request_id``; let every record through."""
        record.request_id = _current.get()
        return True
