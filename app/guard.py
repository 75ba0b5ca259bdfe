"""Nobody gets past without a key, where keys are set, unless to what is public."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.access import Access
from app.areas import BATCH, CLASSIFY
from app.errors import ServiceError
from app.limits import SAYS_LIMITS
from app.problems import refuse


class Guard:
    """Middleware: lets requests in or refuses them, counts those that are let in, and says what is left to ask for.

    Parameters
    ----------
    app
        The application.
    access
        Who may do what.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "http" and scope["path"].endswith("\n"):
            # A route matches past a line's end too: what is asked for here is to be what is served.
            scope["path"] = scope["path"].rstrip("\n")
        needed = self._access.scope_for(scope) if scope["type"] == "http" else None
        if needed is None:
            await self._app(scope, receive, send)
            return
        posted = scope["path"] if scope["method"] == "POST" else ""
        try:
            ticket = self._access.admit(scope, needed, int(posted == CLASSIFY), int(posted == BATCH))
        except ServiceError as error:
            await refuse(error, scope, send)
            return
        if ticket is None:
            await self._app(scope, receive, send)
            return
        status = 200

        async def marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                # An error may say it too, as it was before images were given back.
                others = (each for each in message.get("headers", ()) if each[0] not in SAYS_LIMITS)
                message["headers"] = [*others, *ticket.headers()]
            await send(message)

        try:
            await self._app(scope, receive, marked)
        except Exception:
            status = 500
            raise
        finally:
            ticket.leave(status)
