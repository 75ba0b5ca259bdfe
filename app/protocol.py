"""HTTP/1.1 as uvicorn speaks it with httptools, which costs far less than h11, and with three things set right.

A client may offer to go on in another protocol (``Connection: Upgrade``), as ``curl --http2`` and Java's HttpClient do
with every request. A server that doesn't care to simply answers (RFC 9110, 7.8); httptools takes the offer for the end
of HTTP, and the request's body would never be seen. There would be no bound on the bytes of a request's head. And
the head of an answer would travel apart from its body, at the price of another packet and of another time that the
client is woken.
"""

import asyncio
from collections.abc import Callable  # noqa: TC003 (annotations of attributes are evaluated)
from http import HTTPStatus
from typing import Any, cast

import httptools
from starlette.types import Scope  # noqa: TC002 (as above)
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.utils import get_client_addr, get_path_with_query_string

from app.classify import Headers
from app.disconnects import BREAKING, EXTENSION
from app.request_id import HEADER as ID
from app.request_id import as_current, id_of
from app.shortcut import Shortcut

HEAD_BYTES = 64 * 1024
"""How much of a request's head is kept while its end is awaited, beside what came with its first bytes."""

REFUSED_SECONDS = 0.25
"""For how long who was answered 429 is not listened to. It was asked to wait for longer; but of a crowd that asks again
at once, those who were let in would get nothing, since all time would go into refusing the others."""

MOST_OFFERS = 16
"""Offers of an upgrade that are declined in what is read at a time; each costs a copy of it."""

_INVALID = "Invalid HTTP request received."
_OFFERS = frozenset({b"upgrade", b"http2-settings"})


class _Cork:
    """A transport that keeps what is written until an answer is complete, or the loop has nothing better to do.

    Everything else is as the transport has it.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._pieces: list[bytes] = []
        # Asked for each answer.
        self.is_closing = transport.is_closing

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 (whatever a transport has)
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._pieces:
            self._loop.call_soon(self.flush)
        self._pieces.append(data)

    def flush(self) -> None:
        if self._pieces:
            pieces, self._pieces = self._pieces, []
            self._transport.write(b"".join(pieces))

    def close(self) -> None:
        self.flush()
        self._transport.close()


class Protocol(HttpToolsProtocol):
    """One connection."""

    _in_head = False
    _head_bytes = 0
    _trailer_bytes = 0
    _head_of_offer: bytes | None = None
    _feeding = False
    # Since when there is nothing to be answered, on the loop's clock.
    _idle_since: float | None = None
    # A request that may come whole with the bytes that are being read.
    _held: tuple[RequestResponseCycle, ASGI3Application] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection."""
        self._cork = _Cork(transport, self.loop)
        super().connection_made(cast("asyncio.Transport", self._cork))
        self._watchers: set[Callable[[], object]] = set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell those who asked to be told when the client goes."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        for act in tuple(self._watchers):
            act()

    def data_received(self, data: bytes) -> None:
        """Take what came in."""
        went_on = self._in_head
        self._feeding = True
        self._feed(data)
        self._feeding = False
        if self._held is not None:
            self._serve_held()
        if self._in_head and went_on:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self.send_400_response("The request's head is too long.")

    def _feed(self, data: bytes) -> None:
        """Have the parser read, past offers of an upgrade."""
        for _ in range(MOST_OFFERS):
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                # CONNECT asks for nothing but another protocol.
                if self.parser.get_method() == b"CONNECT":
                    break
                data = self._head_again() + data[offer.args[0] :]
            except httptools.HttpParserError:
                break
            else:
                return
        # Nothing more is answered on this connection.
        self._held = None
        self.send_400_response(_INVALID)

    def on_message_begin(self) -> None:
        """Note that a head begins."""
        super().on_message_begin()
        extensions = {EXTENSION: self._watchers, BREAKING: self._break_off}
        self.scope["extensions"] = extensions  # type: ignore[typeddict-item]
        self._in_head, self._head_bytes, self._trailer_bytes = True, 0, 0
        self._idle_since = None

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header. What follows a chunked body is none, and is dropped (RFC 9110, 6.5.1)."""
        if self._in_head:
            super().on_header(name, value)
            return
        self._trailer_bytes += len(name) + len(value)
        if self._trailer_bytes > HEAD_BYTES:
            msg = "trailers without end"
            raise ValueError(msg)

    def on_headers_complete(self) -> None:
        """Begin with the request, unless it offers an upgrade and has to be read once more without it."""
        self._in_head = False
        if self.parser.should_upgrade():
            self._head_of_offer = self._without_offer()
            return
        before = self.cycle
        super().on_headers_complete()
        if getattr(self.server_state, "draining", False):
            # Whoever keeps a connection is to leave it now, and not to send on it when it is just being closed; but
            # what has been sent is answered.
            self.cycle.keep_alive = False
            if before is not None and not before.response_complete:
                before.keep_alive = True

    def on_message_complete(self) -> None:
        """Note that the body is complete; that of an offer has not even begun."""
        if self._head_of_offer is None:
            super().on_message_complete()
            # Reading stops where a body is large. Now it is whole, and if the client goes that is to be seen; but who
            # has sent the next request already is to wait.
            if not self.pipeline:
                self.flow.resume_reading()

    def on_response_complete(self) -> None:
        """Send what was kept, and go on with the next request, if one has come already."""
        self._cork.flush()
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self._idle_since = self.loop.time()
            if self.timeout_keep_alive_task is None:
                self._watch(self.timeout_keep_alive)

    def _watch(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection if it has been idle for long enough, and look again later else."""
        self.timeout_keep_alive_task = None
        if self._idle_since is not None:
            left = self._idle_since + self.timeout_keep_alive - self.loop.time()
            if left > 0:
                self._watch(left)
            elif not self.transport.is_closing():
                self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        if self._feeding:
            self._held = (cycle, app)
        else:
            super()._start_asgi_task(cycle, app)

    def _serve_held(self) -> None:
        assert self._held is not None  # noqa: S101 (that is when it is called)
        (cycle, app), self._held = self._held, None
        scope = cast("Scope", cycle.scope)
        # Who doesn't read answers is not to pile them up here: the other way waits.
        if (
            self.flow.write_paused
            or cycle.more_body
            or not (isinstance(app, Shortcut) and app.takes_whole(scope, len(cycle.body)))
        ):
            super()._start_asgi_task(cycle, app)
            return
        request_id = id_of(scope)
        gone: Callable[[], None] | None = None

        def reply(status: int, headers: Headers, body: bytes) -> None:
            if gone is not None:
                self._watchers.discard(gone)
            self._reply(cycle, status, [*headers, (ID, request_id)], body)
            if cycle.access_log:
                self._log_access(cycle, status, request_id)

        with as_current(request_id):
            body, cycle.body = bytes(cycle.body), bytearray()
            gone = app.serve_whole(scope, body, reply)
        if gone is not None:
            self._watchers.add(gone)

    def _reply(self, cycle: RequestResponseCycle, status: int, headers: Headers, body: bytes) -> None:
        """Send a whole answer, as uvicorn would that of an application."""
        if cycle.disconnected:
            return
        lines = [STATUS_LINE[status]]
        for name, value in [*self.server_state.default_headers, *headers]:
            lines += [name, b": ", value, b"\r\n"]
        if not cycle.keep_alive:
            lines.append(b"connection: close\r\n")
        self.transport.write(b"".join([*lines, b"\r\n", body]))
        cycle.response_started = cycle.response_complete = True
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response()
        if status == HTTPStatus.TOO_MANY_REQUESTS and not self.transport.is_closing():
            self.transport.pause_reading()
            self.loop.call_later(REFUSED_SECONDS, self._hear_again)

    def _hear_again(self) -> None:
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def _log_access(self, cycle: RequestResponseCycle, status: int, request_id: bytes) -> None:
        """Log an answer, as uvicorn does that of an application."""
        asked = cycle.scope["method"], get_path_with_query_string(cycle.scope), cycle.scope["http_version"]
        extra = {"request_id": request_id.decode()}
        cycle.access_logger.info('%s - "%s %s HTTP/%s" %d', get_client_addr(cycle.scope), *asked, status, extra=extra)

    def _break_off(self, *, now: bool) -> None:
        """End an answer before its end."""
        if now:
            self.transport.abort()
        elif not self.transport.is_closing():
            self._cork.flush()
            self.transport.write_eof()

    def _head_again(self) -> bytes:
        """Return a head that offered an upgrade as if it had not, for a parser that has read nothing yet."""
        head, self._head_of_offer = self._head_of_offer, None
        assert head is not None  # noqa: S101 (httptools raises after it has called on_headers_complete)
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return head

    def _without_offer(self) -> bytes:
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
        for name, value in self.headers:
            if name == b"connection":
                others = [token for token in value.split(b",") if token.strip().lower() not in _OFFERS]
                lines += [b"connection: " + b",".join(others)] if others else []
            elif name not in _OFFERS:
                lines.append(name + b": " + value)
        return b"\r\n".join([*lines, b"", b""])
