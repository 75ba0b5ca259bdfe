"""URL -> bytes."""

from typing import Self

from app.errors import FetchFailedError
from app.settings import Settings


class Fetcher:
    """Fetches images within the rules. It belongs to the event loop's thread."""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Make the one that settings describe."""
        del settings
        return cls()

    async def fetch(self, url: str) -> bytes:
        """Return the bytes that a URL leads to.

        Raises
        ------
        UrlForbiddenError
            If the rules don't allow it.
        FetchFailedError
            If the host can't be reached, or gives no bytes of an image.
        FetchTimeoutError
            If it takes too long.
        PayloadTooLargeError
            If there are more bytes than an image may have.
        """
        del self, url
        msg = "Not fetched yet."
        raise FetchFailedError(msg)

    async def close(self) -> None:
        """Let every connection go."""
