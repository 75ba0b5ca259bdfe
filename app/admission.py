"""How much is in service at a time: images and bytes, each within its bound, tried without waiting.

Bulk requests find the service full sooner than others do: a part of it is kept for those who wait for their answer.

Bytes count from their arrival, so that bodies still on their way are bounded too. Images count from their last byte, so
that slow senders don't take the places of those who have sent; each counts once a view, as the network scores it.

Items of a batch that was let in are not refused: they wait for room in turn, and get no more of it than bulk requests
do, so that others find the rest.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from app.errors import OverloadedError
from app.turns import Turns


class Admission:
    """Counts what is in service. It belongs to the event loop's thread.

    Parameters
    ----------
    max_images, max_bytes
        The bounds; an image counts once a view.
    retry_after_seconds
        What a client that is refused is told.
    bulk_share
        The part of `max_images` up to which bulk requests are let in, at most 1.
    max_batches
        Of batches, however long each is.

    Attributes
    ----------
    images, bytes, batches
        What is in service now.
    """

    def __init__(
        self,
        max_images: int,
        max_bytes: int,
        retry_after_seconds: int,
        bulk_share: float = 1.0,
        max_batches: int = 64,
    ) -> None:
        self.max_images = max_images
        self.max_bytes = max_bytes
        self.images = 0
        self.bytes = 0
        self.max_batches = max_batches
        self.batches = 0
        self._retry_after_seconds = retry_after_seconds
        self._bulk_share = bulk_share
        self._for_images = Turns(self._has_images, self._take_images, self._give_back_images)
        self._for_bytes = Turns(self._has_bytes, self._take_bytes, self._give_back_bytes)

    def full(self, views: int = 1, *, bulk: bool = False) -> bool:
        """Whether an image with so many views would be refused if it came now."""
        return self._beyond(views, 1, bulk=bulk)

    def _beyond(self, images: int, count: int, *, bulk: bool) -> bool:
        # An image by itself is let in whatever the share.
        most = max(self._bulk_share * self.max_images, images) if bulk else self.max_images
        return (images > 0 and self.images + images > most) or self.bytes + count > self.max_bytes

    def visit(self, views: int = 1, *, bulk: bool = False) -> "Visit":
        """Let a request in, whose bytes are still to come; use it as a context manager.

        Raises
        ------
        OverloadedError
            If the service is too full already for an image with so many views.
        """
        if self.full(views, bulk=bulk):
            raise self._overloaded(views, 1)
        return Visit(self, views, bulk=bulk)

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Let a batch in until the end of the ``with`` block; its items wait for room each by itself.

        Raises
        ------
        OverloadedError
            If as many are in service as may be.
        """
        if self.batches >= self.max_batches:
            seconds = self._retry_after_seconds
            msg = f"As many batches are in service as are held at a time (batches); try again in {seconds} s."
            raise OverloadedError(msg, seconds)
        self.batches += 1
        try:
            yield
        finally:
            self.batches -= 1

    def take(self, *, images: int = 0, count: int = 0, bulk: bool = False) -> None:
        """Add to what is in service.

        Raises
        ------
        OverloadedError
            If a bound would be crossed; nothing is added then.
        """
        if self._beyond(images, count, bulk=bulk):
            raise self._overloaded(images, count)
        self.images += images
        self.bytes += count

    def give_back(self, *, images: int, count: int) -> None:
        """Take from what is in service."""
        self.images -= images
        self.bytes -= count
        if self._for_images:
            self._for_images.move()
        if self._for_bytes:
            self._for_bytes.move()

    @property
    def waiting(self) -> int:
        """How many items of batches wait to be let in."""
        return len(self._for_images) + len(self._for_bytes)

    @property
    def crowded(self) -> bool:
        """Whether there are more bytes than those of bulk images may be."""
        return not self._has_bytes(0) or bool(self._for_bytes)

    async def enter_in_turn(self, images: int) -> None:
        """Add an image with so many views, once there is room for it among bulk ones."""
        await self._for_images.take(images)

    async def hold_in_turn(self, count: int) -> None:
        """Add bytes, once there is room for them among those of bulk images."""
        await self._for_bytes.take(count)

    def hold_anyway(self, count: int) -> None:
        """Add bytes that are here already."""
        self.bytes += count

    # What is alone is let in whatever the share. Bytes and images are waited for apart: images that have come and wait
    # for their turn hold bytes.
    def _has_images(self, images: int) -> bool:
        return self.images + images <= max(self._bulk_share * self.max_images, images)

    def _take_images(self, images: int) -> None:
        self.images += images

    def _give_back_images(self, images: int) -> None:
        self.give_back(images=images, count=0)

    def _has_bytes(self, count: int) -> bool:
        return self.bytes + count <= max(self._bulk_share * self.max_bytes, count)

    def _take_bytes(self, count: int) -> None:
        self.bytes += count

    def _give_back_bytes(self, count: int) -> None:
        self.give_back(images=0, count=count)

    def _overloaded(self, images: int, count: int) -> OverloadedError:
        if self.bytes + count > self.max_bytes:
            what, setting = "bytes of images", "queue_bytes"
        elif self._beyond(images, count, bulk=False):
            what, setting = "images, each counted once a view,", "queue_images"
        else:
            # For others there would be room.
            what, setting = "images, each counted once a view, as bulk requests are let in beside,", "bulk_share"
        seconds = self._retry_after_seconds
        msg = f"As many {what} are in service as are held at a time ({setting}); try again in {seconds} s."
        return OverloadedError(msg, seconds)


class Visit:
    """One request's part of what is in service; it is given back at the end of the ``with`` block."""

    def __init__(self, admission: Admission, views: int, *, bulk: bool) -> None:
        self._admission = admission
        self._views = views
        self._bulk = bulk
        self._images = 0
        self._bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    def leave(self) -> None:
        """Give back what is held; once more changes nothing."""
        self._admission.give_back(images=self._images, count=self._bytes)
        self._images = self._bytes = 0

    def hold(self, count: int) -> None:
        """Hold so many bytes more; OverloadedError if they are too many for the service."""
        self._admission.take(count=count, bulk=self._bulk)
        self._bytes += count

    def enter(self) -> None:
        """Count as an image in service from now on; OverloadedError if there are too many."""
        self._admission.take(images=self._views, bulk=self._bulk)
        self._images += self._views

    def enter_as(self, views: int, *, bulk: bool) -> None:
        """Count as images with so many views in all, as only the body says; OverloadedError if there are too many."""
        self._views, self._bulk = views, bulk
        self.enter()
