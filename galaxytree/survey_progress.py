"""How far a survey is: a bar on a terminal, a line now and then where there is none."""

import os
import sys
import time
from collections import deque
from datetime import timedelta
from typing import Protocol, TextIO

from tqdm import tqdm

LINE_SECONDS = 10.0
"""How often a line is written where there is no terminal."""

_RECENT_LINES = 12
_USUAL_COLUMNS = 80


class Progress(Protocol):
    """Is told how far a survey is.

    Attributes
    ----------
    seconds
        How often it wants its `tick`.
    """

    seconds: float

    def begin(self, rows: int, done: int, failed: int) -> None:
        """Take note of how many rows there are, are done already, and failed of these."""
        ...

    def advance(self, rows: int, failed: int) -> None:
        """Take note of rows that are done, and by how many more have failed: fewer, where some were tried again."""
        ...

    def tick(self) -> None:
        """Take note that time goes by."""
        ...

    def end(self) -> None:
        """Say no more."""
        ...

    def say(self, line: str) -> None:
        """Tell the user something else."""
        ...


def progress_to(stream: TextIO | None = None, seconds: float = LINE_SECONDS) -> Progress:
    """Return what shows progress on a stream (standard error): a bar if it is a terminal, else lines."""
    stream = stream or sys.stderr
    return Bar(stream) if stream.isatty() else Lines(stream, seconds)


class _Tqdm(tqdm):  # type: ignore[misc]  # tqdm has no types
    # Time goes by in the survey's own loop: no thread is needed to watch it.
    monitor_interval = 0


class Bar:
    """A bar on a terminal."""

    seconds = 1.0

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._bar: _Tqdm | None = None
        self._failed = 0

    def begin(self, rows: int, done: int, failed: int) -> None:
        """Draw the bar."""
        self._failed = failed
        self._bar = _Tqdm(
            total=rows, initial=done, file=self._stream, unit=" rows", smoothing=0.1,
            **self._width(),
            postfix={"failed": failed},
        )  # fmt: skip

    def _width(self) -> dict[str, int | bool]:
        # Some terminals, as of containers, say that they have no columns, and would get no bar.
        known = os.get_terminal_size(self._stream.fileno()).columns > 0
        return {"dynamic_ncols": True} if known else {"ncols": _USUAL_COLUMNS}

    def advance(self, rows: int, failed: int) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._failed += failed
            self._bar.set_postfix({"failed": self._failed}, refresh=False)
            self._bar.update(rows)

    def tick(self) -> None:
        """Draw the bar anew, with the time as it is now."""
        if self._bar is not None:
            self._bar.refresh()

    def end(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def say(self, line: str) -> None:
        """Write a line above the bar."""
        _Tqdm.write(line, file=self._stream)


class Lines:
    """Lines, for logs."""

    def __init__(self, stream: TextIO, seconds: float) -> None:
        self.seconds = seconds
        self._stream = stream
        self._rows = self._done = self._failed = 0
        self._seen: deque[tuple[float, int]] = deque(maxlen=_RECENT_LINES)

    def begin(self, rows: int, done: int, failed: int) -> None:
        """Write how far it is."""
        self._rows, self._done, self._failed = rows, done, failed
        self._seen.append((time.monotonic(), done))
        self.say(self._line())

    def advance(self, rows: int, failed: int) -> None:
        """Keep it for the next line."""
        self._done += rows
        self._failed += failed

    def tick(self) -> None:
        """Write how far it is, and how fast it went over the last lines."""
        then, done = self._seen[0]
        now = time.monotonic()
        self._seen.append((now, self._done))
        rate = (self._done - done) / max(now - then, 1e-9)
        left = f", {timedelta(seconds=round((self._rows - self._done) / rate))} left" if rate else ""
        self.say(f"{self._line()}, {rate:,.1f} rows/s{left}")

    def end(self) -> None:
        """Write how far it is."""
        self.say(self._line())

    def say(self, line: str) -> None:
        """Write a line."""
        print(line, file=self._stream, flush=True)

    def _line(self) -> str:
        part = self._done / self._rows if self._rows else 1.0
        return f"{self._done:,} of {self._rows:,} rows ({part:.1%}), {self._failed:,} failed"
