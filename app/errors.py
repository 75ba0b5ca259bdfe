"""What goes wrong with a request: each error with its HTTP status and the word that programs know it by (RFC 9457).

::

    ServiceError
    ├── RequestError                    the request can't be served as it is
    │   ├── InvalidRequestError         422 invalid_request
    │   ├── NotExplainableError         422 not_explainable
    │   ├── UndecodableImageError       422 undecodable_image
    │   ├── TooManyPixelsError          422 too_many_pixels
    │   ├── UnsupportedMediaTypeError   415 unsupported_media_type
    │   ├── PayloadTooLargeError        413 payload_too_large
    │   ├── UnknownModelError           404 unknown_model
    │   ├── BodyTimeoutError            408 body_timeout
    │   ├── UnauthorizedError           401 unauthorized
    │   ├── ForbiddenError              403 forbidden
    │   └── WrongHostError              421 wrong_host
    ├── TryLaterError                   the same request may succeed later; the answer has Retry-After
    │   ├── OverloadedError             429 overloaded
    │   ├── RateLimitedError            429 rate_limited
    │   ├── NotReadyError               503 not_ready
    │   └── DeadlineExceededError       503 deadline_exceeded
    ├── FetchError                      an image could not be had from its URL; of one item of a batch
    │   ├── UrlForbiddenError           422 url_forbidden
    │   ├── FetchFailedError            502 fetch_failed
    │   └── FetchTimeoutError           504 fetch_timeout
    └── InternalError                   500 internal_error

How they are answered is in `app.problems`.
"""

from collections.abc import Mapping
from typing import ClassVar

from galaxytree.schemas import Problem


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
    """The request's form is wrong: its parameters, its JSON, its multipart framing, or something that is missing."""

    status, code, title = 422, "invalid_request", "The request is not well formed"


class NotExplainableError(RequestError):
    """It is asked where the network looked, and this network doesn't say."""

    status, code, title = 422, "not_explainable", "The model doesn't say where it looked"


class UndecodableImageError(RequestError):
    """The bytes are no image, or a JPEG or PNG that is empty, damaged or cut off."""

    status, code, title = 422, "undecodable_image", "The image can't be decoded"


class TooManyPixelsError(RequestError):
    """The image's header says that it has more pixels than are decoded here."""

    status, code, title = 422, "too_many_pixels", "The image has too many pixels"


class UnsupportedMediaTypeError(RequestError):
    """The bytes are an image, but neither JPEG nor PNG; or a batch's body is of a type that it can't have."""

    status, code, title = 415, "unsupported_media_type", "The media type is not taken here"


class PayloadTooLargeError(RequestError):
    """The body, or an image, has more bytes than it may, as declared or as streamed; the rest isn't read."""

    status, code, title = 413, "payload_too_large", "There are too many bytes"


class BodyTimeoutError(RequestError):
    """The body didn't arrive in time; the rest isn't read."""

    status, code, title = 408, "body_timeout", "The body didn't arrive in time"


class UnknownModelError(RequestError):
    """There is no model of this name and version."""

    status, code, title = 404, "unknown_model", "There is no such model"


class UnauthorizedError(RequestError):
    """The service asks for a key, and none came, or a wrong one."""

    status, code, title = 401, "unauthorized", "A valid API key is needed"

    @property
    def headers(self) -> Mapping[str, str]:
        """The scheme by which a key is shown."""
        return {"WWW-Authenticate": "Bearer"}


class ForbiddenError(RequestError):
    """The key that came is valid, but not for this; or this needs a key, and the service knows none.

    Parameters
    ----------
    detail
        See `ServiceError`.
    scope
        What a key for it must have.
    """

    status, code, title = 403, "forbidden", "The API key is not for this"

    def __init__(self, detail: str, scope: str = "admin") -> None:
        super().__init__(detail)
        self.scope = scope

    @property
    def headers(self) -> Mapping[str, str]:
        """What a key must have (RFC 6750, 3.1)."""
        return {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{self.scope}"'}


class WrongHostError(RequestError):
    """The request is for a host by whose name this service does not go."""

    status, code, title = 421, "wrong_host", "This service is not that host"


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


class RateLimitedError(TryLaterError):
    """The caller has asked for more than it may: requests a second, at a time, or images a day.

    Parameters
    ----------
    detail, retry_after_seconds
        See `TryLaterError`.
    limits
        Headers that say what the limits are and what is left of them.
    """

    status, code, title = 429, "rate_limited", "The caller has asked for more than it may"

    def __init__(self, detail: str, retry_after_seconds: int, limits: Mapping[str, str]) -> None:
        super().__init__(detail, retry_after_seconds)
        self.limits = limits

    @property
    def headers(self) -> Mapping[str, str]:
        """When to try again, and what the limits are."""
        return {**super().headers, **self.limits}


class NotReadyError(TryLaterError):
    """The service is starting up or shutting down, is full, or has no worker for now."""

    status, code, title = 503, "not_ready", "The service is not ready"


class DeadlineExceededError(TryLaterError):
    """The image waited longer for its answer than is allowed; it was dropped."""

    status, code, title = 503, "deadline_exceeded", "The answer took too long"


class FetchError(ServiceError):
    """An image could not be had from the URL that an item of a batch gives.

    Its detail is the same whenever the cause is, and says nothing of what a host answered that isn't public.
    """


class UrlForbiddenError(FetchError):
    """The URL is one that this service doesn't fetch: its form, its host, its port, or where it or a redirect leads."""

    status, code, title = 422, "url_forbidden", "The URL is not fetched by this service"


class FetchFailedError(FetchError):
    """The URL's host could not be reached, or gave no image's bytes, also when it was asked again."""

    status, code, title = 502, "fetch_failed", "The URL could not be fetched"


class FetchTimeoutError(FetchError):
    """The URL's host took too long: to be reached, to begin with an answer, or in all."""

    status, code, title = 504, "fetch_timeout", "The URL's host took too long"


class InternalError(ServiceError):
    """Something failed in the service; the log says what, under the request's id."""

    status, code, title = 500, "internal_error", "The service failed"

    def __init__(self) -> None:
        super().__init__("The service failed on this request; its log says why, under the X-Request-ID of this answer.")


def problem(status: int, code: str, title: str, detail: str) -> Problem:
    """Put a problem together; its type is a URI that derives from the code."""
    return Problem(type=f"urn:galaxytree:problem:{code}", title=title, status=status, detail=detail, code=code)


def image_too_large(most_bytes: int) -> PayloadTooLargeError:
    """Return the error of an image that has more bytes than it may."""
    return PayloadTooLargeError(f"The image has more than {most_bytes} bytes; send a smaller one.")


def request_errors() -> dict[str, type[RequestError]]:
    """Return what may be wrong with a request by its code, for what workers find."""
    return {each.code: each for each in RequestError.__subclasses__()}
