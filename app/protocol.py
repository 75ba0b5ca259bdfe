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
from typing import cast

import httptools
from starlette.types import Scope  # noqa: TC002 (as above)
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle
from uvicorn.protocols.utils import get_client_addr, get_path_with_query_string

from app.bounded import BoundedProtocol, Bounds, Cork
from app.classify import Headers
from app.disconnects import BREAKING, EXTENSION
from app.request_id import HEADER as ID
from app.request_id import as_current, id_of
from app.security_headers import LINES
from app.shortcut import Shortcut

TRAILER_BYTES = 64 * 1024
"""How much may follow a chunked body."""

REFUSED_SECONDS = 0.25
"""For how long who was answered 429 is not listened to. It was asked to wait for longer; but of a crowd that asks again
at once, those who were let in would get nothing, since all time would go into refusing the others."""

MOST_OFFERS = 16
"""Offers of an upgrade that are declined in what is read at a time; each costs a copy of it."""

MOST_WAITING = 32
"""Requests that wait for those before them on one connection. Of tiny ones there are ten thousand in what is read at a
time, and each takes far more here than on the wire."""

_INVALID = HTTPStatus.BAD_REQUEST, "Invalid HTTP request received."
_TOO_LONG = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The request's head is too long."
_OFFERS = frozenset({b"upgrade", b"http2-settings"})


class Protocol(BoundedProtocol):
    """One connection."""

    # How much of a head has come while its end is awaited, beside what came with its first bytes.
    _head_bytes = 0
    _piece_bytes = 0
    _trailer_bytes = 0
    _head_of_offer: bytes | None = None
    _feeding = False
    # Whether more is sent than is answered: what comes from now on is not looked at.
    _has_enough = False
    # Whether who connected is a proxy that says for whom.
    _proxied = False
    # The request that is being answered, behind which others may have come.
    _served: RequestResponseCycle | None = None
    # A request that may come whole with the bytes that are being read.
    _held: tuple[RequestResponseCycle, ASGI3Application] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection."""
        self._watchers: set[Callable[[], object]] = set()
        self._cork = Cork(transport, self.loop, self.on_closing)
        super().connection_made(cast("asyncio.Transport", self._cork))
        proxies = self.bounds.proxies
        self._proxied = proxies is not None and self.client is not None and proxies.know(self.client[0])

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell those who asked to be told when the client goes."""
        super().connection_lost(exc)
        # uvicorn tells the last one only.
        if self._served is not None and not self._served.response_complete:
            self._served.disconnected = True
            self._served.message_event.set()
        for act in tuple(self._watchers):
            act()

    def data_received(self, data: bytes) -> None:
        """Take what came in."""
        if self._has_enough:
            return
        self._piece_bytes = len(data)
        if self.in_head:
            self._head_bytes += len(data)
        self._feeding = True
        self._feed(data)
        self._feeding = False
        if self._held is not None:
            self._serve_held()
        if self.in_head and not self.transport.is_closing():
            self.watch_head()
            if self._head_bytes > self.bounds.head_bytes:
                self.refuse(*_TOO_LONG)

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
                if self._has_enough:
                    return
                break
            else:
                return
        # Nothing more is answered on this connection.
        self._held = None
        self.in_head, too_long = False, self.in_head and self._is_too_long()
        self.refuse(*(_TOO_LONG if too_long else _INVALID))

    def refuse(self, status: HTTPStatus, words: str, *lines: bytes) -> None:
        """Answer what is no request."""
        super().refuse(status, words, *lines)
        if isinstance(self.app, Shortcut):
            self.app.malformed()

    def on_message_begin(self) -> None:
        """Note that a head begins."""
        super().on_message_begin()
        extensions = {EXTENSION: self._watchers, BREAKING: self._break_off}
        self.scope["extensions"] = extensions  # type: ignore[typeddict-item]
        self.in_head, self._head_bytes, self._trailer_bytes = True, 0, 0
        self.idle_since = None

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header. What follows a chunked body is none, and is dropped (RFC 9110, 6.5.1)."""
        if self.in_head:
            super().on_header(name, value)
            return
        self._trailer_bytes += len(name) + len(value)
        if self._trailer_bytes > TRAILER_BYTES:
            msg = "trailers without end"
            raise ValueError(msg)

    def on_headers_complete(self) -> None:
        """Begin with the request, unless it offers an upgrade and has to be read once more without it."""
        if self._is_too_long():
            msg = "a head that is too long"
            raise ValueError(msg)
        self.in_head, self.head_since = False, None
        if len(self.pipeline) >= MOST_WAITING:
            # The last one that is answered says so, for the others to be sent again.
            self._has_enough, self.cycle.keep_alive = True, False
            msg = "too many requests that wait for others"
            raise ValueError(msg)
        if self._proxied and self.bounds.proxies is not None and self.client is not None:
            self.scope["client"] = (self.bounds.proxies.client_of(self.client[0], self.headers), 0)
        if not self.url.startswith(b"/"):
            self._take_host_of_url()
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

    def _is_too_long(self) -> bool:
        return self.head_is_too_long(self._head_bytes + self._piece_bytes)

    def _take_host_of_url(self) -> None:
        """Take the host that stands in a URL for the one that is asked, whatever ``Host`` says (RFC 9112, 3.2.2)."""
        url = httptools.parse_url(self.url)
        if url.host is not None:
            port = b"" if url.port is None else b":%d" % url.port
            host = b"[%b]" % url.host if b":" in url.host else url.host
            self.headers[:] = [each for each in self.headers if each[0] != b"host"] + [(b"host", host + port)]

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
        # While others wait, more of them are not to come.
        if len(self.pipeline) <= 1:
            self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self.watch_idle()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._served = cycle
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
        lines = [STATUS_LINE[status], LINES]
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
        if not self.transport.is_closing() and not self.flow.read_paused:
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


def protocol_of(bounds: Bounds) -> type[Protocol]:
    """Return the class of connections that are held to these bounds."""
    return type("Protocol", (Protocol,), {"bounds": bounds})
