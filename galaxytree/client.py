"""`Client`: images to services, one or many. With an event loop of your own: `galaxytree.async_client`."""

from collections import deque
from collections.abc import Generator, Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from galaxytree.async_client import IMAGES_IN_FLIGHT, AsyncClient, Detail, sizes
from galaxytree.background import Background
from galaxytree.calls import DEFAULT_TIMEOUT_SECONDS
from galaxytree.client_errors import (
    EngineError,
    GalaxytreeError,
    ImageRefusedError,
    NotFetchedError,
    ProblemError,
    RequestRefusedError,
    ServiceFailedError,
    TryLaterError,
    UnauthorizedError,
    UnexpectedAnswerError,
    UnreachableError,
    UnreadableFileError,
    UnusableImageError,
    problem_error,
)
from galaxytree.given import Given
from galaxytree.groups import grouped
from galaxytree.results import Result, to_table
from galaxytree.schemas import Classification
from galaxytree.servers import DEFAULT_SERVER
from galaxytree.views import Views

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = [
    "DEFAULT_SERVER",
    "DEFAULT_TIMEOUT_SECONDS",
    "AsyncClient",
    "Client",
    "EngineError",
    "GalaxytreeError",
    "ImageRefusedError",
    "NotFetchedError",
    "ProblemError",
    "RequestRefusedError",
    "Result",
    "ServiceFailedError",
    "TryLaterError",
    "UnauthorizedError",
    "UnexpectedAnswerError",
    "UnreachableError",
    "UnreadableFileError",
    "UnusableImageError",
    "problem_error",
    "to_table",
]


class Client:
    """Talks to services, over connections that are kept open; use it as a context manager. Threads may share one.

    Parameters
    ----------
    server, api_key, timeout_seconds, patience_seconds
        See `galaxytree.async_client.AsyncClient`.

    Raises
    ------
    ValueError
        If an address is none.
    """

    def __init__(
        self,
        server: str | Sequence[str] = DEFAULT_SERVER,
        api_key: str | None = None,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        patience_seconds: float | None = None,
    ) -> None:
        self._client = AsyncClient(server, api_key, timeout_seconds, patience_seconds)
        self._background = Background("galaxytree client")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; once more changes nothing."""
        self._background.close(self._client.aclose())

    def classify(self, image: Given, *, detail: Detail = "full", views: Views | None = None) -> Classification:
        """Classify one image.

        Parameters
        ----------
        image
            A URL that the service is to fetch, the path of a file, the bytes of a JPEG or PNG, a picture of Pillow's,
            or an array of uint8 [height, width, 3] or [height, width], or of uint16 [height, width].
        detail
            ``scores`` leaves out questions, path and summary.
        views : 1, 8 or None
            How many orientations of the image to average over; None for what the service is set to.

        Raises
        ------
        OSError
            If the file can't be read.
        TypeError, ValueError
            If it is no image, or a picture or an array that fits into no PNG.
        ProblemError
            If the service answers with a problem; the subclass and `code` say which.
        UnreachableError, UnexpectedAnswerError
            If no answer comes, or none of a galaxytree service, or one of another number of views.
        """
        return self._background.run(self._client.classify(image, detail=detail, views=views))

    def classify_many(
        self,
        images: Iterable[Given],
        *,
        concurrency: int = IMAGES_IN_FLIGHT,
        detail: Detail = "scores",
        views: Views | None = None,
    ) -> Generator[Result, None, None]:
        """Classify any number of images, of which only so many are read ahead of what is taken from here.

        They are sent some at a time, with ``priority=bulk``. Leave whenever you like: what is under way is dropped.

        Parameters
        ----------
        images
            As for `classify`, also mixed. They are read in the thread that takes the results.
        concurrency
            How many are in flight at most.
        detail, views
            As for `classify`.

        Returns
        -------
        generator of Result
            One for each image, in the order given. What is wrong with an image is told in its result.

        Raises
        ------
        ValueError
            If the concurrency isn't positive.
        UnauthorizedError, RequestRefusedError, UnreachableError, ...
            While results are taken: if nothing can be classified in this way, or any more.
        """
        return self._many(images, *sizes(concurrency), detail, views)

    def _many(
        self, images: Iterable[Given], size: int, most: int, detail: Detail, views: Views | None
    ) -> Generator[Result, None, None]:
        in_flight: deque[Future[list[Result]]] = deque()
        try:
            for group in grouped(images, size):
                in_flight.append(self._background.start(self._client.score_group(group, detail, views)))
                if len(in_flight) == most:
                    yield from _first_of(in_flight)
            while in_flight:
                yield from _first_of(in_flight)
        finally:
            for future in in_flight:
                future.cancel()


def _first_of(in_flight: "deque[Future[list[Result]]]") -> list[Result]:
    # It stays there while it is waited for, to be cancelled with the others on Ctrl-C.
    results = in_flight[0].result()
    in_flight.popleft()
    return results
