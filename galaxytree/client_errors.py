"""What may go wrong between a program and an answer.

::

    GalaxytreeError                 carries `code`, a stable word for programs
    ├── ProblemError                the service answered with a problem (RFC 9457)
    │   ├── RequestRefusedError     invalid_request, a 422, forbidden, a 403, and wrong_host, a 421: no image can be
    │   │                           classified in the way that was asked for
    │   ├── ImageRefusedError       408, 413, 415, any other 422: this image can't be classified as it is
    │   ├── NotFetchedError         url_forbidden, fetch_failed, fetch_timeout: the service could not fetch this image
    │   ├── UnauthorizedError       401: a valid API key is needed
    │   ├── TryLaterError           429, 503: the same request may succeed later
    │   └── ServiceFailedError      any other status
    ├── UnreadableFileError         a file on this machine can't be read
    ├── UnusableImageError          what was given is no image: an array of another shape, a thing of another type
    ├── UnreachableError            no answer came
    ├── UnexpectedAnswerError       what answered is no galaxytree service, or one too old for what was asked
    └── EngineError                 images can't be classified in this process
"""

from typing import ClassVar

from galaxytree.schemas import Problem


class GalaxytreeError(Exception):
    """Whatever goes wrong between a program and an answer.

    Attributes
    ----------
    code
        A stable word for programs.
    """

    code: str


class ProblemError(GalaxytreeError):
    """The service answered with a problem.

    Parameters
    ----------
    problem : Problem
        What it said.
    retry_after_seconds : float or None
        When it asked to be tried again.
    """

    def __init__(self, problem: Problem, retry_after_seconds: float | None = None) -> None:
        super().__init__(problem.detail)
        self.problem = problem
        self.code = problem.code
        self.retry_after_seconds = retry_after_seconds

    def __reduce__(self) -> tuple[type["ProblemError"], tuple[Problem, float | None]]:
        """Be pickled as what it is made of, so that it comes whole from another process."""
        return type(self), (self.problem, self.retry_after_seconds)


class RequestRefusedError(ProblemError):
    """The service doesn't do what was asked for, such as eight views or what the key is not for, whatever the image."""


class ImageRefusedError(ProblemError):
    """The image can't be classified as it is."""


class NotFetchedError(ProblemError):
    """The service could not fetch the image, or may not."""


class UnauthorizedError(ProblemError):
    """A valid API key is needed."""


class TryLaterError(ProblemError):
    """The same request may succeed later."""


class ServiceFailedError(ProblemError):
    """The service failed, or doesn't know the request."""


class UnreadableFileError(GalaxytreeError):
    """A file on this machine can't be read."""

    code: ClassVar[str] = "unreadable_file"  # type: ignore[misc]


class UnusableImageError(GalaxytreeError):
    """What was given is nothing that an image can be made of; `__cause__` is the TypeError or ValueError."""

    code: ClassVar[str] = "unusable_image"  # type: ignore[misc]


class UnreachableError(GalaxytreeError):
    """No answer came: nobody listens there, or the connection broke, or it took too long."""

    code: ClassVar[str] = "unreachable"  # type: ignore[misc]


class UnexpectedAnswerError(GalaxytreeError):
    """What answered is no galaxytree service, or one too old for what was asked."""

    code: ClassVar[str] = "unexpected_answer"  # type: ignore[misc]


class EngineError(GalaxytreeError):
    """Images can't be classified in this process; the message says why and what to do."""

    code: ClassVar[str] = "engine_unavailable"  # type: ignore[misc]


_BY_CODE: dict[str, type[ProblemError]] = {
    "forbidden": RequestRefusedError,
    "wrong_host": RequestRefusedError,
    "invalid_request": RequestRefusedError,
    "url_forbidden": NotFetchedError,
    "fetch_failed": NotFetchedError,
    "fetch_timeout": NotFetchedError,
}
_BY_STATUS: dict[int, type[ProblemError]] = {
    401: UnauthorizedError,
    408: ImageRefusedError,
    413: ImageRefusedError,
    415: ImageRefusedError,
    422: ImageRefusedError,
    429: TryLaterError,
    503: TryLaterError,
}


def problem_error(problem: Problem, retry_after_seconds: float | None = None) -> ProblemError:
    """Return the error that stands for a problem."""
    kind = _BY_CODE.get(problem.code) or _BY_STATUS.get(problem.status, ServiceFailedError)
    return kind(problem, retry_after_seconds)
