"""What routes ask for: the service that they belong to, and a caller who may call."""

from typing import Annotated

from fastapi import Depends, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from app.errors import ForbiddenError
from app.service import Service

_bearer = HTTPBearer(
    auto_error=False, scheme_name="API key", description="Needed where the service was started with API keys"
)


def service_of(request: Request) -> Service:
    """Return the service that a request came to."""
    service: Service = request.app.state.service
    return service


TheService = Annotated[Service, Depends(service_of)]

NamedModel = Annotated[
    str, Query(description="Name of a model, of those that `GET /models` lists; not given: the default")
]


async def check_key(
    request: Request, service: TheService, _shown: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> None:
    """Let a caller through who shows a valid key, or everyone where no keys are set; else UnauthorizedError."""
    service.authorize(request.scope)


async def check_admin(
    request: Request, service: TheService, _shown: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> None:
    """Let a caller through who may tell the service what to do; without keys that is nobody, else ForbiddenError."""
    if service.keys is None:
        msg = "Without API keys nobody may do this: start the service with api_keys_file."
        raise ForbiddenError(msg)
    service.authorize(request.scope)
