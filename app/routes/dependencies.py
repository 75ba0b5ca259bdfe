"""What routes ask for: the service that they belong to, and that callers show a key."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from app.service import Service

_bearer = HTTPBearer(
    auto_error=False, scheme_name="API key", description="Needed where the service was started with API keys"
)


def service_of(request: Request) -> Service:
    """Return the service that a request came to."""
    service: Service = request.app.state.service
    return service


TheService = Annotated[Service, Depends(service_of)]


async def check_key(_shown: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> None:
    """Have a route described as one that needs a key; `app.guard` is what looks at it."""
