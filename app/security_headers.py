"""What every answer says to browsers: that it is what it says it is, in nobody's frame, and for its own origin."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
"""An answer that has one of them already keeps its own."""

LINES = b"".join(b"%b: %b\r\n" % header for header in HEADERS)
"""The same, as they travel."""


class SecurityHeaders:
    """Middleware: gives each answer the headers that it has not."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                has = {name.lower() for name, _ in headers}
                message["headers"] = [*headers, *(each for each in HEADERS if each[0] not in has)]
            await send(message)

        await self._app(scope, receive, marked)
