"""Routes that FastAPI describes, and that serve by themselves."""

from collections.abc import Awaitable, Callable

from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send

from app.service import Service

Serve = Callable[[Service, Scope, Receive, Send], Awaitable[None]]
"""Serves one request, as an ASGI application of a service."""


def direct(serve: Serve) -> type[APIRoute]:
    """Return the class of routes that FastAPI describes and that are served so.

    What it would do for each request (dependencies, validation, a response object) may cost more than all that has to
    be done, and it doesn't stream.
    """

    class _DirectRoute(APIRoute):
        async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
            """Serve a request whose path is this one's; 405 if the method isn't."""
            if self.methods and scope["method"] in self.methods:
                await serve(scope["app"].state.service, scope, receive, send)
            else:
                await super().handle(scope, receive, send)

    return _DirectRoute
