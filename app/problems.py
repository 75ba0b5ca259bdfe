"""How a client is told what went wrong: ``application/problem+json``, RFC 9457.

What Starlette and FastAPI raise by themselves is answered in the same form: 404 ``not_found``, 405
``method_not_allowed``, 422 ``invalid_request``. Below ``/v2`` it is told in the words of that protocol.
"""

import logging
from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import (
    ForbiddenError,
    InternalError,
    InvalidRequestError,
    RateLimitedError,
    ServiceError,
    TryLaterError,
    UnauthorizedError,
    problem,
)
from app.oip import told as oip
from galaxytree.schemas import Problem

PROBLEM_JSON = "application/problem+json"

GUARDED: tuple[type[ServiceError], ...] = (UnauthorizedError, ForbiddenError, RateLimitedError)
"""What a route may answer that isn't public, whatever else it does."""

_log = logging.getLogger(__name__)


def documented(*errors: type[ServiceError]) -> dict[int | str, dict[str, Any]]:
    """Return OpenAPI's description of the errors that a route answers, one entry a status."""
    responses: dict[int | str, dict[str, Any]] = {}
    for status in sorted({error.status for error in errors}):
        here = [error for error in errors if error.status == status]
        examples = {error.code: {"value": _example(error)} for error in here}
        content = {"schema": Problem.model_json_schema(), "examples": examples}
        description = "; ".join(f"{error.title} (`{error.code}`)" for error in here)
        responses[status] = {"description": description, "content": {PROBLEM_JSON: content}}
        if any(issubclass(error, TryLaterError) for error in here):
            wait = {"description": "Seconds to wait before trying again", "schema": {"type": "integer"}}
            responses[status]["headers"] = {"Retry-After": wait}
    return responses


def _example(error: type[ServiceError]) -> dict[str, Any]:
    first = (error.__doc__ or "").partition("\n")[0]
    return problem(error.status, error.code, error.title, first).model_dump()


def handle_errors(app: FastAPI) -> None:
    """Have every error of an application answered as a problem."""
    app.add_exception_handler(ServiceError, _on_service_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_validation_error)


def _answer(path: str, body: Problem, headers: Mapping[str, str] | None = None) -> Response:
    if oip.is_spoken_at(path):
        status, content = oip.put(body)
        return Response(content, status_code=status, headers=headers, media_type=oip.JSON)
    return Response(orjson.dumps(body.model_dump()), status_code=body.status, headers=headers, media_type=PROBLEM_JSON)


def written(error: ServiceError) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Return the status, headers and body that tell a client of an error."""
    body = problem_json(error)
    beside = [(name.lower().encode(), value.encode()) for name, value in error.headers.items()]
    length = b"%d" % len(body)
    return error.status, [(b"content-type", PROBLEM_JSON.encode()), (b"content-length", length), *beside], body


async def refuse(error: ServiceError, scope: Scope, send: Send) -> None:
    """Answer a request with an error, as an ASGI application."""
    status, headers, body = (oip.written if oip.is_spoken_at(scope["path"]) else written)(error)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def problem_json(error: ServiceError) -> bytes:
    """Return the problem that tells a client of an error."""
    return _body(error.status, error.code, error.title, error.detail)


@lru_cache(maxsize=128)
def _body(status: int, code: str, title: str, detail: str) -> bytes:
    # Kept, since those who are refused in a crowd are all told the same, and are the more the less time there is.
    return orjson.dumps(problem(status, code, title, detail).model_dump())


async def _on_service_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)  # noqa: S101 (it is registered for nothing else)
    return _answer(request.scope["path"], error.problem, error.headers)


_HINTS = {
    404: "There is nothing at this path; images are posted to /classify, and /docs lists all routes.",
    405: "This path does not take this method; images are posted to /classify, and /docs lists all routes.",
}


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 (it is registered for nothing else)
    phrase = HTTPStatus(error.status_code).phrase
    code = phrase.lower().replace(" ", "_").replace("-", "_")
    detail = _HINTS.get(error.status_code, str(error.detail))
    return _answer(request.scope["path"], problem(error.status_code, code, phrase, detail), error.headers)


async def _on_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 (it is registered for nothing else)
    details = (f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors())
    return _answer(request.scope["path"], InvalidRequestError("; ".join(details)).problem)


class CatchUnexpected:
    """Middleware: an exception that nobody foresaw is logged, and answered 500 without a word on its insides."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception:
            if scope["type"] != "http" or started:
                raise
            _log.exception("unexpected error in %s %s", scope["method"], scope["path"])
            answer = _answer(scope["path"], InternalError().problem)
            MutableHeaders(raw=answer.raw_headers)["Connection"] = "close"
            await answer(scope, receive, send)
