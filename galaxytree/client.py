"""Clients of the service, or of several: `Client`, and `AsyncClient` for programs with an event loop."""

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

from pydantic import ValidationError

from galaxytree.background import Background
from galaxytree.batch_calls import BatchCaller, ImageItem, UrlItem
from galaxytree.calls import DEFAULT_SERVER, DEFAULT_TIMEOUT_SECONDS, no_galaxytree
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
    problem_error,
)
from galaxytree.given import Given, item_of
from galaxytree.groups import Group, grouped, grouped_as_they_come
from galaxytree.results import Result, to_table
from galaxytree.schemas import Classification, Problem
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
    "problem_error",
    "to_table",
]

CLIENT_PATIENCE_SECONDS = 60.0
IMAGES_IN_FLIGHT = 128

Detail = Literal["full", "scores"]


class AsyncClient:
    """Talks to services, over connections that are kept open; use it as a context manager, in one event loop.

    Parameters
    ----------
    server : str or sequence of str
        The service's address, or those of several that run the same model: they share the work, and one that fails is
        left alone for a while.
    api_key : str or None
        Shown to the service where it asks for one.
    timeout_seconds : float
        How long each step of a request may take: to connect, to send, to wait for the answer.
    patience_seconds : float
        For how long to try again, with growing pauses, when the service is busy or away; 0 not to. Services none of
        which has ever been reached are told at once.
    """

    def __init__(
        self,
        server: str | Sequence[str] = DEFAULT_SERVER,
        api_key: str | None = None,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        patience_seconds: float = CLIENT_PATIENCE_SECONDS,
    ) -> None:
        self._caller = BatchCaller(
            server,
            api_key=api_key,
            timeout_seconds=timeout_seconds,
            patience_seconds=patience_seconds,
            waits_for_a_first=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._caller.aclose()

    async def classify(self, image: Given, *, detail: Detail = "full", views: Views | None = None) -> Classification:
        """Classify one image; see `Client.classify`."""
        item = await asyncio.to_thread(item_of, image)
        if isinstance(item, UrlItem):
            batch = await self._caller.score([item], detail=detail, views=views, priority="interactive")
            (result,) = _results([(0, image)], batch.rows)
            return self._as_asked(result.unwrap(), views)

        async def ask() -> Classification:
            return await self._post(item, detail, views)

        return await self._caller.persisting(ask)

    async def _post(self, item: ImageItem, detail: Detail, views: Views | None) -> Classification:
        # The service sees from the bytes what they are; the header only has to be none of a form.
        headers = {"Content-Type": "application/octet-stream"}
        params = {"detail": str(detail)} | ({} if views is None else {"views": str(views)})
        with self._caller.servers.taking() as server:
            answer, body = await self._caller.send(
                server, "POST", "/classify", content=item.data, headers=headers, params=params
            )
        try:
            return self._as_asked(Classification.model_validate_json(body), views)
        except ValidationError as error:
            raise no_galaxytree(server, answer) from error

    def _as_asked(self, answer: Classification, views: Views | None) -> Classification:
        # A service from before there were views ignores the parameter.
        if views is not None and answer.views != views:
            msg = f"{self._caller.servers} answers with views={answer.views}, not {views}; a newer galaxytree may do it"
            raise UnexpectedAnswerError(msg)
        return answer

    async def classify_many(
        self,
        images: Iterable[Given] | AsyncIterable[Given],
        *,
        concurrency: int = IMAGES_IN_FLIGHT,
        detail: Detail = "scores",
        views: Views | None = None,
    ) -> AsyncIterator[Result]:
        """Classify any number of images; see `Client.classify_many`."""
        in_flight: deque[asyncio.Task[list[Result]]] = deque()
        size, most = _sizes(concurrency)
        try:
            async for group in grouped_as_they_come(images, size):
                in_flight.append(asyncio.create_task(self.score_group(group, detail, views)))
                if len(in_flight) == most:
                    for result in await in_flight.popleft():
                        yield result
            while in_flight:
                for result in await in_flight.popleft():
                    yield result
        finally:
            for task in in_flight:
                task.cancel()
            await asyncio.gather(*in_flight, return_exceptions=True)

    async def score_group(self, group: Group, detail: Detail, views: Views | None) -> list[Result]:
        """Classify some images together, and return what became of each, in order."""
        found: dict[int, Result] = {}
        for call in await asyncio.to_thread(group.calls):
            if call.error is not None:
                found |= {index: Result(index, image, error=call.error) for index, image in call.given}
                continue
            answer = await self._caller.score(call.items, detail=detail, views=views)
            found |= {one.index: one for one in _results(call.given, answer.rows)}
        return [found[index] for index, _ in group.given]


class Client:
    """Talks to services, over connections that are kept open; use it as a context manager. Threads may share one.

    Parameters
    ----------
    server, api_key, timeout_seconds, patience_seconds
        See `AsyncClient`.
    """

    def __init__(
        self,
        server: str | Sequence[str] = DEFAULT_SERVER,
        api_key: str | None = None,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        patience_seconds: float = CLIENT_PATIENCE_SECONDS,
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
        if not self._background.closed:
            self._background.run(self._client.aclose())
            self._background.close()

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
            If it is no image, or an array of another shape.
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
    ) -> Iterator[Result]:
        """Classify any number of images, of which only so many are read ahead of what is taken from here.

        Parameters
        ----------
        images
            As for `classify`; they are sent some at a time, and may be mixed.
        concurrency
            How many are in flight at most.
        detail, views
            As for `classify`.

        Yields
        ------
        Result
            One for each, in the order given. An image that can't be classified is a result with an error.

        Raises
        ------
        TypeError, ValueError
            If one is no image at all, or an array of another shape.
        UnauthorizedError, RequestRefusedError, UnreachableError, ...
            If nothing can be classified in this way, or any more.
        """
        in_flight: deque[Future[list[Result]]] = deque()
        size, most = _sizes(concurrency)
        try:
            # Read in the caller's thread, as iterables of databases ask for.
            for group in grouped(images, size):
                in_flight.append(self._background.start(self._client.score_group(group, detail, views)))
                if len(in_flight) == most:
                    yield from in_flight.popleft().result()
            while in_flight:
                yield from in_flight.popleft().result()
        finally:
            for future in in_flight:
                future.cancel()


def _sizes(concurrency: int) -> tuple[int, int]:
    """Return how many images there are in a call, and how many calls in flight."""
    if concurrency < 1:
        msg = "concurrency is 1 or more"
        raise ValueError(msg)
    size = max(1, min(256, concurrency // 4))
    return size, max(1, concurrency // size)


def _results(given: Sequence[tuple[int, Given]], rows: Sequence[dict[str, object]]) -> list[Result]:
    return [_result(index, image, row) for (index, image), row in zip(given, rows, strict=True)]


def _result(index: int, image: Given, row: dict[str, object]) -> Result:
    try:
        if row["status"] == "ok":
            return Result(index, image, Classification.model_validate(row["classification"]))
        return Result(index, image, error=problem_error(Problem.model_validate(row["error"])))
    except (KeyError, ValidationError) as error:
        msg = "an answer of the batch is none that a galaxytree service would give"
        raise UnexpectedAnswerError(msg) from error
