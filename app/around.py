"""What is around every route: in which order requests pass it, from the outermost to the innermost."""

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from app.guard import Guard
from app.host_check import HostCheck
from app.lingering import LingeringClose
from app.problems import CatchUnexpected
from app.request_id import RequestId
from app.security_headers import SecurityHeaders
from app.service import Service

SENT = (
    "Authorization",
    "Content-Encoding",
    "Content-Type",
    "Inference-Header-Content-Length",
    "X-Request-ID",
    "traceparent",
)
"""Headers that a page of another origin may send."""

SHOWN = (
    "Inference-Header-Content-Length",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "Server-Timing",
    "X-Galaxytree-Network",
    "X-Request-ID",
)
"""Headers that it gets to see."""


def around(service: Service) -> list[Middleware]:
    """Return what is around the routes of a service."""
    found = [Middleware(SecurityHeaders), Middleware(RequestId)]
    if service.origins:
        # Who asks whether it may ask shows no key, and whoever is refused is to see why.
        cors = Middleware(
            CORSMiddleware,
            allow_origins=service.origins,
            allow_methods=("GET", "POST"),
            allow_headers=SENT,
            expose_headers=SHOWN,
        )
        found.append(cors)
    if service.hosts is not None:
        found.append(Middleware(HostCheck, hosts=service.hosts))
    return [
        *found,
        Middleware(LingeringClose),
        Middleware(CatchUnexpected),
        Middleware(Guard, access=service.access),
    ]


def wrapped(app: ASGIApp, service: Service) -> ASGIApp:
    """Return an application with the same around it."""
    for each in reversed(around(service)):
        app = each.cls(app, *each.args, **each.kwargs)
    return app
