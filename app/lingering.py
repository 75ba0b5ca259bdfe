"""A refusal that comes before the end of a body still reaches the client.

Closing a socket with unread bytes resets the connection, and a client that is still sending may never see the answer.
So the answer goes out whole, with ``Connection: close``, and what comes in is thrown away for a while before the
connection is closed: a lingering close, as web servers have it.
"""

import asyncio
import contextlib

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LINGER_SECONDS = 2.0
"""For how long a client that doesn't stop sending is listened to."""

READS_ON = "galaxytree.reads_on"
"""Key of an ASGI message that starts an answer: the body is read on beside it, so that it is no refusal."""


class LingeringClose:
    """Middleware: where an answer starts before the request's body was read, the connection is closed after it.

    Parameters
    ----------
    app
        The application.
    seconds
        For how long what still comes in is thrown away.
    """

    def __init__(self, app: ASGIApp, seconds: float = LINGER_SECONDS) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "http" and _has_body(scope):
            exchange = _Exchange(receive, send, self._seconds)
            await self._app(scope, exchange.receive, exchange.send)
        else:
            await self._app(scope, receive, send)


def _has_body(scope: Scope) -> bool:
    return any(
        (name == b"content-length" and value != b"0") or name == b"transfer-encoding"
        for name, value in scope["headers"]
    )


class _Exchange:
    def __init__(self, receive: Receive, send: Send, seconds: float) -> None:
        self._receive = receive
        self._send = send
        self._seconds = seconds
        self._unread = True
        self._closing = False

    async def receive(self) -> Message:
        message = await self._receive()
        self._unread = self._unread and message["type"] == "http.request" and message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and self._unread and not message.get(READS_ON):
            self._closing = True
            message.setdefault("headers", [])
            MutableHeaders(scope=message)["Connection"] = "close"
        # As most do: the body has been read.
        if not self._closing or message["type"] != "http.response.body" or message.get("more_body", False):
            await self._send(message)
            return
        await self._send({**message, "more_body": True})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._seconds):
                while self._unread:
                    await self.receive()
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})
