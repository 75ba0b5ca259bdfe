"""The address that the service listens on, taken before anything that costs time."""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from app.refusals import AddressRefusedError

BACKLOG = 2048
"""Connections that wait to be taken, at most; as uvicorn has it."""


@contextmanager
def listening(host: str, port: int) -> Iterator[list[socket.socket]]:
    """Bind every address of a host; the sockets are closed in the end.

    They don't listen yet, so that nobody connects to a service that then refuses to start.

    Parameters
    ----------
    host
        A name or an address.
    port
        0 for any free one.

    Raises
    ------
    AddressRefusedError
        If the host has no address, or none that can be bound.
    """
    with ExitStack() as stack:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            bound = [each for each in (_bound(stack, family, address) for family, *_, address in found) if each]
        except OSError as error:
            raise _refusal(host, port, error.strerror) from error
        if not bound:
            raise _refusal(host, port, os.strerror(errno.EADDRNOTAVAIL))
        yield bound


def listen(sockets: list[socket.socket]) -> None:
    """Take connections from now on.

    Raises
    ------
    AddressRefusedError
        If somebody else took the address meanwhile.
    """
    for each in sockets:
        try:
            each.listen(BACKLOG)
        except OSError as error:
            host, port = each.getsockname()[:2]
            raise _refusal(host, port, error.strerror) from error


def url_of(listener: socket.socket) -> str:
    """Return the URL at which a socket is reached."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _bound(stack: ExitStack, family: int, address: tuple[Any, ...]) -> socket.socket | None:
    try:
        one = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
    except OSError:
        # A name such as localhost may have addresses of a family that this machine is built without.
        return None
    if os.name == "posix":
        # Else a restart would have to wait until the last connections of the one before are forgotten.
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        # Each family has its own socket.
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    try:
        one.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            return None
        raise
    return one


def _refusal(host: str, port: int, why: str | None) -> AddressRefusedError:
    msg = (
        f"port {port} of {host} can't be listened on ({(why or 'unknown').lower()}): choose another with --host and "
        "--port, or end what listens there"
    )
    return AddressRefusedError(msg)
