"""What routes ask for: the service that they belong to, and a caller who may call."""

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


async def check_key(
    request: Request, service: TheService, _shown: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> None:
    """Let a caller through who shows a valid key, or everyone where no keys are set; else UnauthorizedError."""
    service.authorize(request.scope)
