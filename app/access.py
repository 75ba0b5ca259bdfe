"""Who may do what, and how much of it: by their key or, where no keys are set, by their address."""

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Self

from starlette.types import Scope

from app.areas import scope_for
from app.errors import ForbiddenError, ServiceError
from app.keys import ApiKeys, ShownKey, shown_key
from app.limits import Header, Limits, Meter
from app.settings import Settings
from galaxytree.scopes import KeyScope

TICKET = "galaxytree.ticket"
"""Where a request's scope has the `Ticket`, if it has one."""

MOST_ADDRESSES = 65_536
"""Of so many addresses it is known what they asked for; of more, those that asked last."""

_GIVEN_BACK_FROM = 500
_TOO_MANY = 429

_log = logging.getLogger(__name__)


class Ticket:
    """One request that was let in; of one that wasn't, whose it was.

    Attributes
    ----------
    name
        Whose key was shown; None where no keys are set.
    checksum
        By which of several checksums, see `app.keys.ShownKey`.
    """

    __slots__ = ("_here", "_images", "_meter", "checksum", "name")

    def __init__(self, name: str | None, meter: Meter | None, images: int, checksum: int | None = None) -> None:
        self.name = name
        self.checksum = checksum
        self._meter = meter
        self._images = images
        self._here = True

    def take_image(self) -> None:
        """Count an image of this request; RateLimitedError if it is too many for this day."""
        if self._meter is not None:
            self._meter.take(1)

    def give_back_image(self) -> None:
        """Count an image less, which the service didn't get to look at."""
        if self._meter is not None:
            self._meter.give_back(1)

    def headers(self) -> list[Header]:
        """Return what the answer says of the caller's limits."""
        return [] if self._meter is None else self._meter.headers()

    def leave(self, status: int = 200) -> None:
        """Hear that the request is over, and with which status; once more changes nothing.

        What the service itself was too busy for, or failed with, doesn't count as an image.
        """
        if self._here:
            self._here = False
            if self._meter is not None:
                self._meter.leave()
                if self._images and (status == _TOO_MANY or status >= _GIVEN_BACK_FROM):
                    self._meter.give_back(self._images)


class Access:
    """Lets requests in, or not. It belongs to the event loop's thread.

    Parameters
    ----------
    keys
        The keys that are valid; None: everyone may do everything, but for what only an administrator may.
    address_limits
        How much may be asked for from one address, where no keys are set.
    retry_after_seconds
        What is told to who has too many requests in service.
    public_metrics
        Whether anyone may read what is measured.
    """

    def __init__(
        self,
        keys: ApiKeys | None = None,
        address_limits: Limits | None = None,
        retry_after_seconds: int = 1,
        *,
        public_metrics: bool = False,
    ) -> None:
        self._keys = keys
        self._address_limits = address_limits
        self._retry_after_seconds = retry_after_seconds
        self._public_metrics = public_metrics
        self._meters: dict[str, Meter] = {}
        self._by_address: OrderedDict[str, Meter] = OrderedDict()
        self._long: set[_Long] = set()
        if keys is not None:
            self.renew(keys)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return what a service is set to.

        Raises
        ------
        KeysRefusedError
            If the keys' file is not as it should be, or isn't named where keys are required.
        """
        said = settings.address_limits
        limits = None if said is None else Limits.parse(said)
        metrics = settings.public_metrics
        return cls(ApiKeys.of(settings), limits, settings.retry_after_seconds, public_metrics=metrics)

    @property
    def keys(self) -> ApiKeys | None:
        """The keys that are valid now; None where the service is open to everyone."""
        return self._keys

    def renew(self, keys: ApiKeys) -> None:
        """Go by other keys from now on; what a caller of the same name has asked for stays counted."""
        meters: dict[str, Meter] = {}
        for key in keys.keys:
            limits = key.limits
            if not limits.are_any:
                continue
            meter = self._meters.get(key.name)
            if meter is None:
                meter = Meter(limits, "This key", self._retry_after_seconds)
            else:
                meter.limit(limits)
            meters[key.name] = meter
        self._keys, self._meters = keys, meters
        for one in tuple(self._long):
            try:
                self.check(one.scope, one.needed)
            except ServiceError as error:
                one.act(error)

    @contextmanager
    def calling_when_refused(
        self, scope: Scope, needed: KeyScope, act: Callable[[ServiceError], object]
    ) -> Iterator[None]:
        """Call a function if the key of a request is taken back before the ``with`` block ends.

        That is for what could go on for hours: whoever has got hold of a key could keep it busy for ever.

        Parameters
        ----------
        scope, needed
            See `check`.
        act
            Is told what a request with that key would be told now, in the event loop.

        Raises
        ------
        UnauthorizedError, ForbiddenError
            If that has happened already.
        """
        self.check(scope, needed)
        one = _Long(scope, needed, act)
        self._long.add(one)
        try:
            yield
        finally:
            self._long.discard(one)

    def scope_for(self, scope: Scope) -> KeyScope | None:
        """Return what a request needs a key for; None if anyone may make it."""
        return scope_for(scope["method"], scope["path"], public_metrics=self._public_metrics)

    def check(self, scope: Scope, needed: KeyScope) -> ShownKey | None:
        """Return the key that a request shows; None where no keys are set.

        Raises
        ------
        UnauthorizedError
            If it shows none that is valid.
        ForbiddenError
            If its key is not for what it needs.
        """
        if self._keys is None:
            if needed == "admin":
                msg = "Without API keys nobody may do this: start the service with api_keys_file."
                raise ForbiddenError(msg, needed)
            return None
        shown = self._keys.check(shown_key(scope))
        key = shown.key
        if needed not in key.scopes and not (needed == "metrics" and "admin" in key.scopes):
            scope[TICKET] = Ticket(key.name, None, 0, shown.checksum)
            has = ", ".join(sorted(key.scopes))
            msg = f"This key is for {has}, and this needs one for {needed} (scopes in the file of API keys)."
            raise ForbiddenError(msg, needed)
        return shown

    def admit(self, scope: Scope, needed: KeyScope, images: int = 0, least: int = 0) -> Ticket | None:
        """Let a request in, or not.

        Parameters
        ----------
        scope
            The request's, of ASGI; `TICKET` is set in it.
        needed
            What it needs a key for.
        images, least
            How many images it has, and of how many there must be some left for it: see `app.limits.Meter.enter`.

        Returns
        -------
        Ticket or None
            To be told when the request is over; None where nothing is known of callers or counted.

        Raises
        ------
        UnauthorizedError, ForbiddenError
            See `check`.
        RateLimitedError
            If the caller has asked for too much.
        """
        shown = self.check(scope, needed)
        if shown is None:
            if self._address_limits is None:
                return None
            name, checksum, meter = None, None, self._meter_of(scope)
        else:
            name, checksum = shown.key.name, shown.checksum
            meter = self._meters.get(name)
            _log.debug("key of %s", name)
        # Who is refused is known too, to the log.
        ticket = scope[TICKET] = Ticket(name, meter, images, checksum)
        if meter is not None:
            meter.enter(images, least)
        return ticket

    def _meter_of(self, scope: Scope) -> Meter | None:
        assert self._address_limits is not None  # noqa: S101 (that is when it is called)
        client = scope.get("client")
        if client is None:
            # Over a socket of this machine: whoever that is.
            return None
        who = _network_of(client[0])
        known = self._by_address
        meter = known.get(who)
        if meter is None:
            meter = known[who] = Meter(self._address_limits, "An address", self._retry_after_seconds)
            if len(known) > MOST_ADDRESSES:
                known.popitem(last=False)
        else:
            known.move_to_end(who)
        return meter


@dataclass(frozen=True, eq=False)
class _Long:
    """A request that may go on for long."""

    scope: Scope
    needed: KeyScope
    act: Callable[[ServiceError], object]


def _network_of(address: str) -> str:
    """Return what one caller is taken to have: an IPv4 address, or all IPv6 ones of a network."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        return str(parsed.ipv4_mapped) if parsed.ipv4_mapped else parsed.exploded[:19]
    return address


def ticket_of(scope: Scope) -> Ticket | None:
    """Return the ticket of a request; None where nothing is known of callers or counted."""
    ticket: Ticket | None = scope.get(TICKET)
    return ticket
