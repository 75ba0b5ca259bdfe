"""What came of asking a host, if it was no image."""

UNUSABLE = "The host gave no usable answer."
"""All that is said of a host that isn't public, whatever it answered."""


class Mishap(Exception):  # noqa: N818 (it is no error of the service's until the last try is over)
    """One try came to nothing.

    Parameters
    ----------
    said
        What is told of a public host, in a sentence.
    transient
        Whether it may go well another time.
    pause_seconds
        For how long the host asks to be left alone.
    hidden
        Whether it comes from a host that isn't public, of which nothing is told.

    Attributes
    ----------
    stale
        Whether it was met on a connection that had been used before, and before its answer began: that may be the
        connection's fault, since hosts close those that were idle.
    """

    def __init__(self, said: str, *, transient: bool = False, pause_seconds: float = 0.0, hidden: bool = False) -> None:
        super().__init__(said)
        self.said = said
        self.transient = transient
        self.pause_seconds = pause_seconds
        self.hidden = hidden
        self.stale = False

    @property
    def detail(self) -> str:
        """What whoever gave the URL is told."""
        return UNUSABLE if self.hidden else self.said
