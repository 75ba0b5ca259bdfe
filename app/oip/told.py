"""How a client is told what went wrong where this protocol is spoken: ``{"error": "..."}``, with the code beside it."""

from typing import Any

import orjson

from app.errors import InvalidRequestError, ServiceError, TryLaterError
from app.oip.messages import Failure
from galaxytree.schemas import Problem

PREFIX = "/v2"
JSON = "application/json"
_BAD_REQUEST = 400


def is_spoken_at(path: str) -> bool:
    """Whether this protocol is spoken at a path."""
    return path == PREFIX or path.startswith(f"{PREFIX}/")


def put(problem: Problem) -> tuple[int, bytes]:
    """Return the status and the body that tell a client of a problem."""
    return _status(problem.code, problem.status), orjson.dumps({"error": problem.detail, "code": problem.code})


def written(error: ServiceError) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Return the status, headers and body that tell a client of an error."""
    status, body = put(error.problem)
    beside = [(name.lower().encode(), value.encode()) for name, value in error.headers.items()]
    return status, [(b"content-type", JSON.encode()), (b"content-length", b"%d" % len(body)), *beside], body


def documented(*errors: type[ServiceError]) -> dict[int | str, dict[str, Any]]:
    """Return OpenAPI's description of the errors that a route answers, one entry a status."""
    responses: dict[int | str, dict[str, Any]] = {}
    for status in sorted({_status(error.code, error.status) for error in errors}):
        here = [error for error in errors if _status(error.code, error.status) == status]
        said = "; ".join(f"{error.title} (`{error.code}`)" for error in here)
        responses[status] = {"description": said, "model": Failure}
        if any(issubclass(error, TryLaterError) for error in here):
            wait = {"description": "Seconds to wait before trying again", "schema": {"type": "integer"}}
            responses[status]["headers"] = {"Retry-After": wait}
    return responses


def _status(code: str, status: int) -> int:
    # What is wrong with an image is told apart from a request that can't be read, for which the protocol has this.
    return _BAD_REQUEST if code == InvalidRequestError.code else status
