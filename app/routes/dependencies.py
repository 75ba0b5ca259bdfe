"""What routes ask for: the service that they belong to, a caller who may call, and a call that can mean one thing."""

import logging
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from app.errors import InvalidRequestError
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


async def check_parameters(request: Request) -> None:
    """InvalidRequestError if one of the route's parameters is in the query twice; others are ignored."""
    for parameter in request.scope["route"].dependant.query_params:
        if len(request.query_params.getlist(parameter.alias)) > 1:
            msg = f"query.{parameter.alias}: given more than once, so that it can't be told which is meant."
            raise InvalidRequestError(msg)


def _bytes_shown(request: Request) -> bytes:
    # Not `shown.credentials`: those have lost the bytes at their end that would be white space in Latin-1, such as the
    # last one of a UTF-8 "à".
    return request.headers["authorization"].partition(" ")[2].strip(" \t").encode("latin-1")
