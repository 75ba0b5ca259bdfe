"""What goes wrong with a request, and how the client is told: ``application/problem+json``, RFC 9457.

::

    ServiceError
    ├── RequestError                    the request can't be served as it is
    │   ├── InvalidRequestError         422 invalid_request
    │   ├── UndecodableImageError       422 undecodable_image
    │   ├── TooManyPixelsError          422 too_many_pixels
    │   ├── UnsupportedMediaTypeError   415 unsupported_media_type
    │   ├── PayloadTooLargeError        413 payload_too_large
    │   ├── BodyTimeoutError            408 body_timeout
    │   └── UnauthorizedError           401 unauthorized
    ├── TryLaterError                   the same request may succeed later; the answer has Retry-After
    │   ├── OverloadedError             429 overloaded
    │   ├── NotReadyError               503 not_ready
    │   └── DeadlineExceededError       503 deadline_exceeded
    └── InternalError                   500 internal_error

What Starlette and FastAPI raise by themselves is answered in the same form: 404 ``not_found``, 405
``method_not_allowed``, 422 ``invalid_request``.
"""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, ClassVar

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from galaxytree.schemas import Problem

PROBLEM_JSON = "application/problem+json"
CLIENT_CLOSED_REQUEST = 499
"""nginx's status for a client that has gone. Nobody reads it: the connection is closed."""

_log = logging.getLogger(__name__)


class ServiceError(Exception):
    """A problem that a client is told of.

    Parameters
    ----------
    detail
        What is wrong with this request and what to do, in a sentence; never a path or a traceback.
    """

    status: ClassVar[int]
    code: ClassVar[str]
    title: ClassVar[str]

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers that the answer carries beside its body."""
        return {}

    @property
    def problem(self) -> Problem:
        """The error as it travels on the wire."""
        return problem(self.status, self.code, self.title, self.detail)


class RequestError(ServiceError):
    """The request can't be served as it is; sending it again changes nothing."""


class InvalidRequestError(RequestError):
    """The request's form is wrong: its parameters, its multipart framing, or a part that is missing."""

    status, code, title = 422, "invalid_request", "The request is not well formed"


class UndecodableImageError(RequestError):
    """The bytes are no image, or a JPEG or PNG that is empty, damaged or cut off."""

    status, code, title = 422, "undecodable_image", "The image can't be decoded"


class TooManyPixelsError(RequestError):
    """The image's header says that it has more pixels than are decoded here."""

    status, code, title = 422, "too_many_pixels", "The image has too many pixels"


class UnsupportedMediaTypeError(RequestError):
    """The bytes are an image, but neither JPEG nor PNG."""

    status, code, title = 415, "unsupported_media_type", "The image is neither JPEG nor PNG"


class PayloadTooLargeError(RequestError):
    """The body is larger than an image may be, as declared or as streamed; the rest isn't read."""

    status, code, title = 413, "payload_too_large", "The image has too many bytes"


class BodyTimeoutError(RequestError):
    """The body didn't arrive in time; the rest isn't read."""

    status, code, title = 408, "body_timeout", "The body didn't arrive in time"


class UnauthorizedError(RequestError):
    """The service asks for a key, and none came, or a wrong one."""

    status, code, title = 401, "unauthorized", "A valid API key is needed"

    @property
    def headers(self) -> Mapping[str, str]:
        """The scheme by which a key is shown."""
        return {"WWW-Authenticate": "Bearer"}


class TryLaterError(ServiceError):
    """The same request may succeed later.

    Parameters
    ----------
    detail
        See `ServiceError`.
    retry_after_seconds
        When to try again.
    """

    def __init__(self, detail: str, retry_after_seconds: int) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds

    @property
    def headers(self) -> Mapping[str, str]:
        """When to try again, in seconds."""
        return {"Retry-After": str(self.retry_after_seconds)}


class OverloadedError(TryLaterError):
    """As many images, each counted once a view, or bytes, are in service as are held at a time."""

    status, code, title = 429, "overloaded", "The service is busy"


class NotReadyError(TryLaterError):
    """The service is starting up or shutting down."""

    status, code, title = 503, "not_ready", "The service is not ready"


class DeadlineExceededError(TryLaterError):
    """The image waited longer for its answer than is allowed; it was dropped."""

    status, code, title = 503, "deadline_exceeded", "The answer took too long"


class InternalError(ServiceError):
    """Something failed in the service; the log says what, under the request's id."""

    status, code, title = 500, "internal_error", "The service failed"

    def __init__(self) -> None:
        super().__init__("The service failed on this request; its log says why, under the X-Request-ID of this answer.")


def problem(status: int, code: str, title: str, detail: str) -> Problem:
    """Put a problem together; its type is a URI that derives from the code."""
    return Problem(type=f"urn:galaxytree:problem:{code}", title=title, status=status, detail=detail, code=code)


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
    app.add_exception_handler(ClientDisconnect, _on_client_gone)


def _answer(body: Problem, headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(body.model_dump()), status_code=body.status, headers=headers, media_type=PROBLEM_JSON)


async def _on_service_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)  # noqa: S101 (it is registered for nothing else)
    return _answer(error.problem, error.headers)


_HINTS = {
    404: "There is nothing at this path; images are posted to /classify, and /docs lists all routes.",
    405: "This path does not take this method; images are posted to /classify, and /docs lists all routes.",
}


async def _on_http_exception(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 (it is registered for nothing else)
    phrase = HTTPStatus(error.status_code).phrase
    code = phrase.lower().replace(" ", "_").replace("-", "_")
    detail = _HINTS.get(error.status_code, str(error.detail))
    return _answer(problem(error.status_code, code, phrase, detail), error.headers)


async def _on_validation_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 (it is registered for nothing else)
    details = (f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors())
    return _answer(InvalidRequestError("; ".join(details)).problem)


async def _on_client_gone(_request: Request, _error: Exception) -> Response:
    return Response(status_code=CLIENT_CLOSED_REQUEST)


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
            answer = _answer(InternalError().problem)
            MutableHeaders(raw=answer.raw_headers)["Connection"] = "close"
            await answer(scope, receive, send)
