"""Requests for the one route on which speed counts go straight to it, past the matching of all others."""

from collections.abc import Callable
from typing import Protocol

from starlette.types import ASGIApp, Receive, Scope, Send

from app.classify import Reply


class ServesWhole(Protocol):
    """What serves requests that have come whole without a task of their own: see `app.classify.serve_whole`."""

    def __call__(self, scope: Scope, body: bytes, reply: Reply) -> Callable[[], None] | None:
        """Serve a request."""
        ...


class Shortcut:
    """An application with one route in front of it.

    Parameters
    ----------
    app
        The application, which knows the route too.
    method, path
        What is asked of the route, and where it is.
    endpoint
        What serves it: it answers errors by itself.
    whole
        What serves it where the request has come whole.
    takes_whole
        Whether that is for a request with so many bytes.
    malformed
        Is called for each connection that is closed since what came is no request.
    """

    def __init__(  # noqa: PLR0913, PLR0917 (what it is for, and what it stands in front of)
        self,
        app: ASGIApp,
        method: str,
        path: str,
        endpoint: ASGIApp,
        whole: ServesWhole,
        takes_whole: Callable[[Scope, int], bool],
        malformed: Callable[[], object] = lambda: None,
    ) -> None:
        self._app = app
        self._method = method
        self._path = path
        self._endpoint = endpoint
        self._takes_whole = takes_whole
        self.serve_whole = whole
        self.malformed = malformed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http" and self._is_for(scope):
            await self._endpoint(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def takes_whole(self, scope: Scope, body_bytes: int) -> bool:
        """Whether `serve_whole` is for a request whose body is so long."""
        return self._is_for(scope) and self._takes_whole(scope, body_bytes)

    def _is_for(self, scope: Scope) -> bool:
        return bool(scope["path"] == self._path and scope["method"] == self._method)
