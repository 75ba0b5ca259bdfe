"""By which names the service goes."""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Self

from starlette.types import Scope

ANY = "*"


@dataclass(frozen=True)
class Hosts:
    """The names.

    Attributes
    ----------
    names
        In small letters, without a port.
    below
        What names may end in, each with its dot.
    """

    names: frozenset[str]
    below: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read names, ``*.name`` and addresses with spaces or commas between them; None if any name will do.

        Raises
        ------
        ValueError
            If there is none, or one is no name.
        """
        entries = [each.lower() for each in text.replace(",", " ").split()]
        if not entries:
            msg = "name a host at least, or * for any"
            raise ValueError(msg)
        if ANY in entries:
            return None
        for each in entries:
            if not _is_name(each.removeprefix("*.")):
                msg = f"{each!r} is no name of a host, without a port; nor *.name, an address, or *"
                raise ValueError(msg)
        names = frozenset(each.strip("[]").removesuffix(".") for each in entries if not each.startswith("*."))
        return cls(names, tuple(each[1:].removesuffix(".") for each in entries if each.startswith("*.")))

    def allow(self, scope: Scope) -> bool:
        """Whether a request is for one of them, and for no other."""
        host = _host_of(scope)
        return host is not None and (host in self.names or host.endswith(self.below))


def is_by_address(scope: Scope) -> bool:
    """Whether a request is for an address of IP, and for no name."""
    try:
        ip_address(_host_of(scope) or "")
    except ValueError:
        return False
    return True


def _host_of(scope: Scope) -> str | None:
    """Return whom a request is for, without a port; None if it says nothing, or more than one."""
    said = [value for name, value in scope["headers"] if name == b"host"]
    return _without_port(said[0].decode("latin-1").lower()) if len(said) == 1 else None


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].removesuffix(".")


def _is_name(text: str) -> bool:
    try:
        ip_address(text.strip("[]"))
    except ValueError:
        return re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?", text) is not None
    return True
