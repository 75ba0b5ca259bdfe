"""`AsyncClient`: images to services, for programs with an event loop."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Sequence
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias

from pydantic import ValidationError

from galaxytree.batch_calls import BatchCaller, UrlItem
from galaxytree.calls import DEFAULT_TIMEOUT_SECONDS, no_galaxytree
from galaxytree.client_errors import UnexpectedAnswerError, problem_error
from galaxytree.given import Given, item_of
from galaxytree.groups import Group, grouped_as_they_come
from galaxytree.results import Result
from galaxytree.schemas import Classification, Problem
from galaxytree.servers import DEFAULT_SERVER, Server
from galaxytree.views import Views

IMAGES_IN_FLIGHT = 128
MOST_IN_A_CALL = 256

Detail: TypeAlias = Literal["full", "scores"]


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
        How long each step of a request may take: to connect, to send, to wait for the next part of the answer.
    patience_seconds : float or None
        For how long to try again, with growing pauses, while a service is busy or away. 0: not to, but of several
        services another one is asked where one can't be reached. None: 60, but 0 for services none of which has ever
        answered, so that an address that is wrong is told at once.

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
        self._caller = BatchCaller(
            server, api_key=api_key, timeout_seconds=timeout_seconds, patience_seconds=patience_seconds
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
        """Classify one image; see `galaxytree.client.Client.classify`."""
        item = item_of(image) if isinstance(image, bytes) else await asyncio.to_thread(item_of, image)
        if isinstance(item, UrlItem):
            batch = await self._caller.score([item], detail=detail, views=views, priority="interactive")
            return _result(0, image, batch.rows[0]).unwrap()
        # The service sees from the bytes what they are; the header only has to be none of a form.
        headers = {"Content-Type": "application/octet-stream"}
        params = {"detail": str(detail)} | ({} if views is None else {"views": str(views)})

        async def once(server: Server) -> Classification:
            answering = self._caller.calls.answer(
                server, "POST", "/classify", content=item.data, headers=headers, params=params
            )
            async with answering as answer:
                body = await answer.aread()
            try:
                return _as_asked(Classification.model_validate_json(body), views, server)
            except ValidationError as error:
                raise no_galaxytree(server, answer.status_code) from error

        return await self._caller.calls.ask(once)

    def classify_many(
        self,
        images: Iterable[Given] | AsyncIterable[Given],
        *,
        concurrency: int = IMAGES_IN_FLIGHT,
        detail: Detail = "scores",
        views: Views | None = None,
    ) -> AsyncGenerator[Result, None]:
        """Classify any number of images; see `galaxytree.client.Client.classify_many`.

        Parameters
        ----------
        images
            An asynchronous iterable may also give them slowly: what it has given is classified while it pauses. An
            ordinary one is read in the event loop, which it should not hold up.
        concurrency, detail, views
            As there.
        """
        return self._many(images, *sizes(concurrency), detail, views)

    async def _many(
        self,
        images: Iterable[Given] | AsyncIterable[Given],
        size: int,
        most: int,
        detail: Detail,
        views: Views | None,
    ) -> AsyncGenerator[Result, None]:
        groups = grouped_as_they_come(images, size)
        reading: asyncio.Task[Group | None] | None = None
        in_flight: deque[asyncio.Task[list[Result]]] = deque()
        more = True
        try:
            while more or in_flight:
                if more and reading is None and len(in_flight) < most:
                    reading = asyncio.create_task(_next(groups))
                awaited: list[asyncio.Task[Any]] = [*([reading] if reading else []), *[*in_flight][:1]]
                await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
                if reading is not None and reading.done():
                    group = reading.result()
                    reading = None
                    if group is None:
                        more = False
                    else:
                        in_flight.append(asyncio.create_task(self.score_group(group, detail, views)))
                if in_flight and in_flight[0].done():
                    for result in in_flight.popleft().result():
                        yield result
        finally:
            tasks = [*([reading] if reading else []), *in_flight]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await groups.aclose()

    async def score_group(self, group: Group, detail: Detail, views: Views | None) -> list[Result]:
        """Classify some images together, and return what became of each, in order."""
        found: dict[int, Result] = {}
        for call in await asyncio.to_thread(group.calls):
            if call.error is not None:
                found |= {index: Result(index, image, error=call.error) for index, image in call.given}
                continue
            answer = await self._caller.score(call.items, detail=detail, views=views)
            for (index, image), row in zip(call.given, answer.rows, strict=True):
                found[index] = _result(index, image, row)
        return [found[index] for index, _ in group.given]


def sizes(concurrency: int) -> tuple[int, int]:
    """Return how many images there are in a call, and how many calls in flight."""
    if concurrency < 1:
        msg = f"concurrency={concurrency}: it is 1 or more"
        raise ValueError(msg)
    size = max(1, min(MOST_IN_A_CALL, concurrency // 4))
    return size, concurrency // size


async def _next(groups: AsyncGenerator[Group, None]) -> Group | None:
    return await anext(groups, None)


def _as_asked(answer: Classification, views: Views | None, server: Server) -> Classification:
    # A service from before there were views ignores the parameter.
    if views is not None and answer.views != views:
        msg = f"{server.url} answers with views={answer.views}, not {views}; a newer galaxytree may do it"
        raise UnexpectedAnswerError(msg)
    return answer


def _result(index: int, image: Given, row: dict[str, Any]) -> Result:
    if row["status"] == "error":
        return Result(index, image, error=problem_error(Problem.model_validate(row["error"])))
    try:
        return Result(index, image, Classification.model_validate(row["classification"]))
    except ValidationError as error:
        msg = "a batch is answered with a classification that no galaxytree service would give"
        raise UnexpectedAnswerError(msg) from error
