"""Every request is counted once it is over, and told of where that is set, in either of the ways that it may be served.

What is counted is what the client was told: status and code as they were sent.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from time import perf_counter, time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.access import ticket_of
from app.batch.serving import BatchParameters
from app.classify import Headers, Parameters, Reply
from app.disconnects import EXTENSION
from app.errors import ServiceError
from app.lifecycle import State
from app.request_id import KEY as ID
from app.request_id import current_id
from app.routes import batch, classify
from app.service import Service
from app.shortcut import ServesWhole
from app.telemetry.codes import FIRST_ERROR, code_of, plain_code
from app.telemetry.numbers import CUT_OFF, GONE, Answer
from app.telemetry.routes import Routes, method_of
from app.telemetry.seen import ENDED, ITEMS, Seen, parent_of, stages_of

_TIMING = b"server-timing"
_POST = "POST"
_MOST_OF_A_PROBLEM = 64 * 1024


class Watcher:
    """Counts requests that are over, and tells of them.

    Parameters
    ----------
    service
        Whose they are.
    routes
        Those that it has.
    """

    def __init__(self, service: Service, routes: Routes) -> None:
        self._lifecycle = service.lifecycle
        self._telemetry = service.telemetry
        self._numbers = service.telemetry.numbers
        self._views = service.settings.views
        self._routes = routes

    def whole(self, serve: ServesWhole) -> ServesWhole:
        """Return the same, watched, for requests to `app.routes.classify.PATH` that have come whole."""
        numbers, lifecycle, tells = self._numbers, self._lifecycle, self._telemetry.tells
        route, tell, seen = classify.PATH, self._telemetry.tell, self._seen

        def serve_whole(scope: Scope, body: bytes, reply: Reply) -> Callable[[], None] | None:
            began = perf_counter()
            request_id = current_id() if tells else ""

            size = len(body)

            def over(status: int, code: str, headers: Headers, bytes_out: int) -> None:
                seconds = perf_counter() - began
                answer = (route, _POST, status, code)
                numbers.answered(answer, seconds)
                if lifecycle.state is State.DRAINING:
                    numbers.drained += 1
                if tells:
                    tell(partial(seen, scope, request_id, answer, time(), seconds, size, headers, bytes_out))

            def replied(status: int, headers: Headers, answer: bytes) -> None:
                reply(status, headers, answer)
                over(status, code_of(status, answer), headers, len(answer))

            gone = serve(scope, body, replied)
            if gone is None:
                return None

            def left() -> None:
                gone()
                over(GONE, CUT_OFF, (), 0)

            return left

        return serve_whole

    def watch(self, app: ASGIApp) -> ASGIApp:
        """Return the same, watched."""

        async def watched(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            exchange = _Exchange(receive, send)
            watchers = scope.get("extensions", {}).get(EXTENSION, set())
            watchers.add(exchange.leave)
            try:
                await app(scope, exchange.receive, exchange.send)
            except Exception:
                # The server does, with what it has of its own for it.
                exchange.fail()
                raise
            finally:
                watchers.discard(exchange.leave)
                self._note(scope, exchange)

        return watched

    def malformed(self) -> None:
        """Count what was no request."""
        self._numbers.malformed += 1

    def _note(self, scope: Scope, exchange: "_Exchange") -> None:
        seconds = perf_counter() - exchange.began
        answer = (self._routes.of(scope), method_of(scope), exchange.status, exchange.code())
        self._numbers.answered(answer, seconds)
        if self._lifecycle.state is State.DRAINING:
            self._numbers.drained += 1
        if self._telemetry.tells:
            request_id = scope.get(ID, b"-").decode()
            sizes = exchange.bytes_in, exchange.headers, exchange.bytes_out
            self._telemetry.tell(partial(self._seen, scope, request_id, answer, time(), seconds, *sizes))

    def _seen(  # noqa: PLR0913, PLR0917 (all of it is of one request, of which there are many)
        self,
        scope: Scope,
        request_id: str,
        answer: Answer,
        ended: float,
        seconds: float,
        bytes_in: int,
        headers: Headers,
        bytes_out: int,
    ) -> Seen:
        route, method, status, code = answer
        client = scope.get("client")
        timing = next((value for name, value in headers if name == _TIMING), None)
        views, priority = _asked(route, scope["query_string"], self._views) if method == _POST else (None, None)
        scored, failed = scope.get(ITEMS, (None, None))
        ticket = ticket_of(scope)
        return Seen(
            ended - seconds,
            seconds,
            request_id,
            None if client is None else client[0],
            None if ticket is None else ticket.name,
            method,
            route,
            status,
            code,
            bytes_in,
            bytes_out,
            None if timing is None else stages_of(timing),
            views,
            priority,
            scored,
            failed,
            parent_of(scope["headers"]),
            scope.get(ENDED),
            None if ticket is None else ticket.checksum,
        )


class _Exchange:
    """One request and its answer, as they pass."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self.began = perf_counter()
        self.status = GONE
        self.headers: list[tuple[bytes, bytes]] = []
        self.bytes_in = self.bytes_out = 0
        self._begun = self._complete = self._gone = False
        self._length: int | None = None
        # Of an error, for its code.
        self._body = b""

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self.bytes_in += len(message.get("body", b""))
        return message

    async def send(self, message: Message) -> None:
        await self._send(message)
        # Whoever has gone got nothing of it.
        if self._gone:
            return
        if message["type"] == "http.response.start":
            self._begun = True
            self.status = message["status"]
            self.headers = list(message.get("headers", ()))
            length = next((value for name, value in self.headers if name.lower() == b"content-length"), b"")
            self._length = int(length) if length.isdigit() else None
        elif message["type"] == "http.response.body":
            body = message.get("body", b"")
            self.bytes_out += len(body)
            if self.status >= FIRST_ERROR and len(self._body) < _MOST_OF_A_PROBLEM:
                self._body += body
            # After a refusal the connection is held for a while, though all has been said.
            self._complete = not message.get("more_body", False) or self.bytes_out == self._length

    def leave(self) -> None:
        """Hear that the client has gone."""
        self._gone = not self._complete

    def fail(self) -> None:
        """Hear that whoever was to answer didn't, so that the server does."""
        if not self._begun and not self._gone:
            self.status, self._complete = 500, True

    def code(self) -> str:
        """Return what was answered, in a word."""
        if not self._complete:
            return CUT_OFF
        return code_of(self.status, self._body) if self._body or self.status < FIRST_ERROR else plain_code(self.status)


@lru_cache(maxsize=256)
def _asked(route: str, query: bytes, views: int) -> tuple[int | None, str | None]:
    """Return how many views of its images a request asks for, and with which priority."""
    kinds: dict[str, type[Parameters]] = {classify.PATH: Parameters, batch.PATH: BatchParameters}
    kind = kinds.get(route)
    if kind is None:
        return None, None
    try:
        parameters = kind.of(query)
    except ServiceError:
        return None, None
    return _given(parameters.views, views), parameters.priority


def _given(asked: int | None, otherwise: int) -> int:
    return asked or otherwise
