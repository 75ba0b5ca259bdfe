"""A connection that lasts as long as it is used, and no longer: clocks on what a client may be slow with.

It may be slow in sending a request's head, in reading an answer, and in asking again. (For how long a body may take is
the matter of those who read it.) A connection that no head comes on is given up for another where there are too many.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar, Self

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.descriptors import connections_within_limit
from app.proxies import Proxies
from app.security_headers import LINES
from app.settings import Settings

_GIVEN_UP_PART = 16
"""Of connections that wait for nothing but their client, the oldest one in so many is given up at a time."""

_MOST_KEPT = 64 * 1024
"""So many bytes of an answer are kept before they are written."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Bounds:
    """What a connection is held to; see `app.settings.Settings`.

    Attributes
    ----------
    connections, head_seconds, head_bytes, send_seconds
        Open at a time; time and bytes of a head; time to read on in an answer.
    proxies
        From whom it is taken who a client is; None: from nobody.
    """

    connections: int = 4096
    head_seconds: float = 10.0
    head_bytes: int = 64 * 1024
    send_seconds: float = 300.0
    proxies: Proxies | None = None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return what a service is set to, as far as the system allows it."""
        return cls(
            connections_within_limit(settings.connections),
            settings.head_timeout_seconds,
            settings.max_head_bytes,
            settings.send_timeout_seconds,
            Proxies.parse(settings.trusted_proxies) if settings.trusted_proxies else None,
        )


class Cork:
    """A transport that keeps what is written until an answer is complete, or the loop has nothing better to do.

    Everything else is as the transport has it.

    Parameters
    ----------
    transport, loop
    closing
        Is called once it is to close, when what is kept has been written.
    """

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, closing: Callable[[], object]
    ) -> None:
        self._transport = transport
        self._loop = loop
        self._closing = closing
        self._pieces: list[bytes] = []
        self._kept = 0
        # Asked for each answer.
        self.is_closing = transport.is_closing

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 (whatever a transport has)
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Keep what is to be sent."""
        if not self._pieces:
            self._loop.call_soon(self.flush)
        self._pieces.append(data)
        self._kept += len(data)
        # Or whoever sends much would not hear in time that the client is behind.
        if self._kept >= _MOST_KEPT:
            self.flush()

    def flush(self) -> None:
        """Send what is kept."""
        if self._pieces:
            pieces, self._pieces, self._kept = self._pieces, [], 0
            self._transport.write(b"".join(pieces))

    def close(self) -> None:
        """Send what is kept, and close."""
        self.flush()
        self._transport.close()
        self._closing()


class BoundedProtocol(HttpToolsProtocol):
    """One connection, and how long it may wait for its client."""

    bounds: ClassVar[Bounds] = Bounds()

    # Since when a head is awaited that has begun, or the first one, on the loop's clock.
    head_since: float | None = None
    # Since when there is nothing to be answered, on the loop's clock.
    idle_since: float | None = None
    in_head = False
    # When it is looked next whether the client is too slow.
    _looks_at = 0.0
    _cutting_off: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, in the place of others if need be."""
        super().connection_made(transport)
        self.head_since = self.loop.time()
        self._look_at(self.head_since + self.bounds.head_seconds)
        if len(self.connections) > self.bounds.connections:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop every clock."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self._stop_cutting_off()

    def _make_room(self) -> None:
        """Give connections up that only wait for their clients, those first that wait the longest; else this one."""
        waiting = [each for each in self.connections if isinstance(each, BoundedProtocol) and each.waits_since]
        waiting = sorted((each for each in waiting if each is not self), key=lambda each: each.waits_since or 0.0)
        for each in waiting[: max(1, len(waiting) // _GIVEN_UP_PART)]:
            # Its end is noticed a moment later; until then others must not be given up in its stead.
            self.connections.discard(each)
            each.transport.abort()
        if not waiting:
            self.refuse(HTTPStatus.SERVICE_UNAVAILABLE, "Too many connections.", b"retry-after: 1\r\n")

    @property
    def waits_since(self) -> float | None:
        """Since when nothing is done here but to wait for a request; None while there is something."""
        if self.cycle is not None and not self.cycle.response_complete:
            return None
        return self.head_since or self.idle_since

    # Heads.

    def watch_head(self) -> None:
        """Note that a head has begun, and isn't all here."""
        if self.head_since is None:
            self.head_since = self.loop.time()
            self._look_at(self.head_since + self.bounds.head_seconds)

    def head_is_too_long(self, at_most: int) -> bool:
        """Whether a head has more bytes than it may, of which it is known how many it has at most."""
        most = self.bounds.head_bytes
        if at_most <= most:
            return False
        return len(self.url) + sum([len(name) + len(value) for name, value in self.headers]) > most

    def watch_idle(self) -> None:
        """Note that there is nothing to be answered any more."""
        self.idle_since = now = self.loop.time()
        if self.head_since is not None:
            # The next head has begun to come already; its sender had an answer to wait for.
            self.head_since = now
        self._look_at(now + self.timeout_keep_alive)

    def _look_at(self, time: float) -> None:
        """Look at a time whether the client is too slow; a clock that is set earlier is left as it is."""
        if self.timeout_keep_alive_task is not None:
            if self._looks_at <= time:
                return
            self.timeout_keep_alive_task.cancel()
        self._looks_at = time
        self.timeout_keep_alive_task = self.loop.call_at(time, self.timeout_keep_alive_handler)

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection if it has waited for long enough, and look again later else."""
        self.timeout_keep_alive_task = None
        if self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete:
            # Its client waits too; a head that has come in part behind is not looked at meanwhile.
            if self.head_since is not None:
                self.head_since = self.loop.time()
                self._look_at(self.head_since + self.bounds.head_seconds)
        elif self.head_since is not None:
            self._end_at(self.head_since + self.bounds.head_seconds)
        elif self.idle_since is not None:
            self._end_at(self.idle_since + self.timeout_keep_alive)

    def _end_at(self, time: float) -> None:
        if time > self.loop.time():
            self._look_at(time)
        elif self.in_head:
            self.refuse(HTTPStatus.REQUEST_TIMEOUT, "The request's head didn't arrive in time.")
        else:
            self.transport.close()

    # Answers.

    def pause_writing(self) -> None:
        """Hear that the client is behind with reading."""
        super().pause_writing()
        self._start_cutting_off()

    def resume_writing(self) -> None:
        """Hear that it has read on."""
        super().resume_writing()
        if not self.transport.is_closing():
            self._stop_cutting_off()

    def on_closing(self) -> None:
        """Hear that the connection closes once its client has read what was sent."""
        if self.transport.get_write_buffer_size():
            self._start_cutting_off()

    def _start_cutting_off(self) -> None:
        if self._cutting_off is None:
            self._cutting_off = self.loop.call_later(self.bounds.send_seconds, self._cut_off)

    def _stop_cutting_off(self) -> None:
        if self._cutting_off is not None:
            self._cutting_off.cancel()
            self._cutting_off = None

    def _cut_off(self) -> None:
        self._cutting_off = None
        seconds = self.bounds.send_seconds
        _log.info("a client that did not read its answer for %g s is cut off (send_timeout_seconds)", seconds)
        self.transport.abort()

    # Refusals.

    def refuse(self, status: HTTPStatus, words: str, *lines: bytes) -> None:
        """Answer what is no request, in plain words, and close."""
        default = [b"%b: %b\r\n" % header for header in self.server_state.default_headers]
        body = words.encode()
        length = b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n" % len(body)
        head = [STATUS_LINE[status], *default, LINES, *lines, length, b"connection: close\r\n\r\n"]
        self.transport.write(b"".join([*head, body]))
        self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Answer what can't be read."""
        self.refuse(HTTPStatus.BAD_REQUEST, msg)
