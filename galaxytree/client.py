"""A client of the service.

::

    GalaxytreeError                 carries `code`, a stable word for programs
    ├── ProblemError                the service answered with a problem (RFC 9457)
    │   ├── RequestRefusedError     invalid_request, a 422: no image can be classified in the way that was asked for
    │   ├── ImageRefusedError       408, 413, 415, any other 422: this image can't be classified as it is
    │   ├── UnauthorizedError       401: a valid API key is needed
    │   ├── TryLaterError           429, 503: the same request may succeed later
    │   └── ServiceFailedError      any other status
    ├── UnreachableError            no answer came
    ├── UnexpectedAnswerError       what answered is no galaxytree service, or one too old for what was asked
    └── EngineError                 images can't be classified in this process
"""

from pathlib import Path
from types import TracebackType
from typing import ClassVar, Literal, Self

import httpx
from pydantic import ValidationError

from galaxytree.schemas import Classification, Problem
from galaxytree.views import Views

DEFAULT_SERVER = "http://127.0.0.1:8000"
DEFAULT_TIMEOUT_SECONDS = 60.0


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


class RequestRefusedError(ProblemError):
    """The service doesn't do what was asked for, such as eight views, whatever the image."""


class ImageRefusedError(ProblemError):
    """The image can't be classified as it is."""


class UnauthorizedError(ProblemError):
    """A valid API key is needed."""


class TryLaterError(ProblemError):
    """The same request may succeed later."""


class ServiceFailedError(ProblemError):
    """The service failed, or doesn't know the request."""


class UnreachableError(GalaxytreeError):
    """No answer came: nobody listens there, or the connection broke, or it took too long."""

    code: ClassVar[str] = "unreachable"  # type: ignore[misc]


class UnexpectedAnswerError(GalaxytreeError):
    """What answered is no galaxytree service, or one too old for what was asked."""

    code: ClassVar[str] = "unexpected_answer"  # type: ignore[misc]


class EngineError(GalaxytreeError):
    """Images can't be classified in this process; the message says why and what to do."""

    code: ClassVar[str] = "engine_unavailable"  # type: ignore[misc]


_BY_CODE: dict[str, type[ProblemError]] = {"invalid_request": RequestRefusedError}
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


class Client:
    """Talks to one service, over connections that are kept open; use it as a context manager.

    Parameters
    ----------
    server : str
        The service's address.
    api_key : str or None
        Shown to the service where it asks for one.
    timeout_seconds : float
        How long each step of a request may take: to connect, to send, to wait for the answer.
    """

    def __init__(
        self,
        server: str = DEFAULT_SERVER,
        api_key: str | None = None,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    ) -> None:
        # As bytes: httpx takes text for ASCII only, and `printf %s "$KEY" | sha256sum` sums the UTF-8 ones.
        headers = {b"Authorization": f"Bearer {api_key}".encode()} if api_key else {}
        self._http = httpx.Client(base_url=server, headers=headers, timeout=timeout_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def classify(
        self, image: Path | bytes, *, detail: Literal["full", "scores"] = "full", views: Views | None = None
    ) -> Classification:
        """Classify one image.

        Parameters
        ----------
        image : Path or bytes
            A JPEG or PNG.
        detail
            ``scores`` leaves out questions, path and summary.
        views : 1, 8 or None
            How many orientations of the image to average over; None for what the service is set to.

        Raises
        ------
        OSError
            If the file can't be read.
        ProblemError
            If the service answers with a problem; the subclass and `code` say which.
        UnreachableError, UnexpectedAnswerError
            If no answer comes, or none of a galaxytree service, or one of another number of views.
        """
        data = image.read_bytes() if isinstance(image, Path) else image
        # The service sees from the bytes what they are; the header only has to be none of a form.
        headers = {"Content-Type": "application/octet-stream"}
        params = {"detail": str(detail)} | ({} if views is None else {"views": str(views)})
        try:
            answer = self._http.post("/classify", content=data, headers=headers, params=params)
        except httpx.TransportError as error:
            why = str(error) or type(error).__name__
            msg = f"{self._http.base_url} doesn't answer ({why}); `galaxytree serve` starts a service"
            raise UnreachableError(msg) from error
        try:
            if answer.is_success:
                return self._as_asked(Classification.model_validate_json(answer.content), views)
            problem = Problem.model_validate_json(answer.content)
        except ValidationError as error:
            msg = f"{self._http.base_url} answers {answer.status_code}, but not as a galaxytree service does"
            raise UnexpectedAnswerError(msg) from error
        wait = answer.headers.get("Retry-After", "")
        raise problem_error(problem, float(wait) if wait.isdecimal() else None)

    def _as_asked(self, answer: Classification, views: Views | None) -> Classification:
        # A service from before there were views ignores the parameter.
        if views is not None and answer.views != views:
            msg = f"{self._http.base_url} answers with views={answer.views}, not {views}; a newer galaxytree may do it"
            raise UnexpectedAnswerError(msg)
        return answer
