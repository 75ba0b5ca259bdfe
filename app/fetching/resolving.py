"""Names -> addresses: by the system's resolver, or by name servers that are set."""

import asyncio
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from app.fetching.addresses import Address, address_of
from app.fetching.mishaps import Mishap

KEPT_SECONDS = 10.0
"""For how long an answer serves further connections; each checks the addresses anew."""

MOST_KEPT = 1024

_THREADS = 256
"""As many as are needed. Of names whose servers say nothing each holds one for longer than it is waited for, and the
others are not to wait behind them: that would be their time to connect."""

_UNKNOWN = "The URL's host is not known."
_NO_ANSWER = "The name servers gave no answer on the URL's host."


class Names(Protocol):
    """Where names are looked up."""

    def look_up(self, name: str) -> list[Address | None]:
        """Return all addresses of a name, and none for one that no plain address stands for; else raise a Mishap.

        It may block: it is called in a thread.
        """
        ...


class SystemNames:
    """The system's resolver."""

    def look_up(self, name: str) -> list[Address | None]:
        """See `Names`."""
        try:
            found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            if error.errno == socket.EAI_AGAIN:
                raise Mishap(_NO_ANSWER, transient=True) from error
            raise Mishap(_UNKNOWN) from error
        return [address_of(str(sockaddr[0])) for *_, sockaddr in found]


class AskedNames:
    """Name servers that are set, and nothing else: no hosts file, no search list.

    Parameters
    ----------
    servers
        Address and port of each.
    seconds
        For how long those who ask wait for an answer.
    """

    def __init__(self, servers: Sequence[tuple[str, int]], seconds: float) -> None:
        # Only needed where it is set.
        from dns.nameserver import Do53Nameserver  # noqa: PLC0415
        from dns.resolver import Resolver as DnsResolver  # noqa: PLC0415

        self._resolver = DnsResolver(configure=False)
        self._resolver.nameservers = [Do53Nameserver(address, port) for address, port in servers]
        # Who asks has a clock of their own, which is to be the first to strike.
        self._resolver.lifetime = 2 * seconds

    def look_up(self, name: str) -> list[Address | None]:
        """See `Names`."""
        from dns.exception import DNSException  # noqa: PLC0415
        from dns.resolver import NXDOMAIN, NoAnswer  # noqa: PLC0415

        try:
            found = self._resolver.resolve_name(f"{name}.", search=False)
        except (NXDOMAIN, NoAnswer) as error:
            raise Mishap(_UNKNOWN) from error
        except DNSException as error:
            raise Mishap(_NO_ANSWER, transient=True) from error
        return [address_of(each) for each in found.addresses()]


@dataclass(eq=False, slots=True)
class _LookUp:
    task: asyncio.Task[list[Address | None]]
    waiting: int = 0


class Resolver:
    """Looks each name up once for all who ask at a time, and keeps the answer for a while.

    Parameters
    ----------
    names : Names
    """

    def __init__(self, names: Names) -> None:
        self._names = names
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="resolve")
        self._closed = False
        self._asking: dict[str, _LookUp] = {}
        self._kept: dict[str, tuple[float, list[Address | None]]] = {}

    async def addresses(self, name: str) -> list[Address | None]:
        """Return all addresses of a name, at least one; none for one that no plain address stands for.

        Raises
        ------
        Mishap
            If the name has none, or nobody says.
        """
        loop = asyncio.get_running_loop()
        until, addresses = self._kept.get(name, (0.0, []))
        if loop.time() < until:
            return addresses
        asking = self._asking.get(name)
        if asking is None:
            asking = self._asking[name] = _LookUp(loop.create_task(self._look_up(name)))
        asking.waiting += 1
        try:
            return await asyncio.shield(asking.task)
        except Mishap as mishap:
            # Others get it too, and each notes on it what it means to them.
            raise Mishap(mishap.said, transient=mishap.transient) from mishap
        except asyncio.CancelledError:
            me = asyncio.current_task()
            if self._closed and me is not None and not me.cancelling():
                raise Mishap(_NO_ANSWER) from None
            raise
        finally:
            asking.waiting -= 1
            if not asking.waiting:
                # Nobody wants to know any more, so that it needs no thread.
                asking.task.cancel()
                if self._asking.get(name) is asking:
                    del self._asking[name]

    async def _look_up(self, name: str) -> list[Address | None]:
        # Not by dnspython's asyncio: uvloop may hang at its end where a socket for datagrams was being made.
        loop = asyncio.get_running_loop()
        found = list(dict.fromkeys(await loop.run_in_executor(self._threads, self._names.look_up, name)))
        if not found:
            raise Mishap(_UNKNOWN)
        self._kept.pop(name, None)
        while len(self._kept) >= MOST_KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[name] = (loop.time() + KEPT_SECONDS, found)
        return found

    def close(self) -> None:
        """End all look-ups."""
        self._closed = True
        for asking in self._asking.values():
            asking.task.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)
