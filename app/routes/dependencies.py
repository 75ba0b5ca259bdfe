"""What routes ask for: the service that they belong to."""

from typing import Annotated

from fastapi import Depends, Query, Request

from app.service import Service


def service_of(request: Request) -> Service:
    """Return the service that a request came to."""
    service: Service = request.app.state.service
    return service


TheService = Annotated[Service, Depends(service_of)]

NamedModel = Annotated[
    str, Query(description="Name of a model, of those that `GET /models` lists; not given: the default")
]
