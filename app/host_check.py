"""A request for another host is refused, so that no page reaches the service by a name that its author pointed here."""

from starlette.types import ASGIApp, Receive, Scope, Send

from app.areas import HEALTH, METRICS
from app.errors import WrongHostError
from app.hosts import Hosts, is_by_address
from app.problems import refuse


class HostCheck:
    """Middleware: requests for other hosts are refused.

    Who asks for the service's health may do so by any name: those who look after it know its address only. So does
    Prometheus, which may ask for what is measured by an address: a page that is to read it needs a name for it.
    """

    def __init__(self, app: ASGIApp, hosts: Hosts) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or scope["path"] in HEALTH or self._hosts.allow(scope) or _is_scrape(scope):
            await self._app(scope, receive, send)
            return
        await refuse(WrongHostError("This service goes by other names (hosts)."), scope, send)


def _is_scrape(scope: Scope) -> bool:
    return scope["method"] == "GET" and scope["path"] == METRICS and is_by_address(scope)
