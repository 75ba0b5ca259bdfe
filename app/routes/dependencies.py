"""What routes ask for: the service that they belong to, and a caller who may call."""

import logging
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from app.service import Service

_log = logging.getLogger(__name__)
_bearer = HTTPBearer(
    auto_error=False, scheme_name="API key", description="Needed where the service was started with API keys"
)


def service_of(request: Request) -> Service:
    """Return the service that a request came to."""
    service: Service = request.app.state.service
    return service


TheService = Annotated[Service, Depends(service_of)]


async def check_key(
    request: Request, service: TheService, shown: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> None:
    """Let a caller through who shows a valid key, or everyone where no keys are set; else UnauthorizedError."""
    if service.keys is not None:
        key = service.keys.check(_bytes_shown(request) if shown else None)
        _log.debug("key of %s", key.name)


def _bytes_shown(request: Request) -> bytes:
    # Not `shown.credentials`: those have lost the bytes at their end that would be white space in Latin-1, such as the
    # last one of a UTF-8 "à".
    return request.headers["authorization"].partition(" ")[2].strip(" \t").encode("latin-1")
