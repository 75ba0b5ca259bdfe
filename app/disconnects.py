"""Work is done for those who still wait for it."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from starlette.types import Receive, Scope

EXTENSION = "galaxytree.disconnect"
"""Name of an ASGI extension: a set of functions that the server calls when the client goes."""

BREAKING = "galaxytree.break"
"""Name of an ASGI extension that breaks an answer off, for the client to see that it is not whole.

It is a function. Called with false it says nothing more once what was sent has gone out, and still reads; with true it
closes the connection at once.
"""


@contextmanager
def calling_when_gone(scope: Scope, receive: Receive, act: Callable[[], object]) -> Iterator[None]:
    """Call a function if the client of a request whose body has been read goes before the end of the ``with`` block.

    Where the server has the extension that costs next to nothing; else a task waits for ASGI's message.
    """
    watchers: set[Callable[[], object]] | None = scope.get("extensions", {}).get(EXTENSION)
    if watchers is not None:
        watchers.add(act)
        try:
            yield
        finally:
            watchers.discard(act)
        return
    watching = asyncio.ensure_future(_watch(receive, act))
    try:
        yield
    finally:
        watching.cancel()


async def _watch(receive: Receive, act: Callable[[], object]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    act()
