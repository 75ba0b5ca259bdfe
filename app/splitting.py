"""Runs for which a device has no memory are halved, and what was asked for goes on.

A GPU is shared with others, whoever they are, and what was free when the service started may be taken by now. So a
run for which there is no room is made again as two, and each of these if need be, down to a single view. What didn't
fit is then not tried again for a while: larger runs are made in pieces that fit, and pieces grow again slowly.
"""

import logging
import re
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from galaxytree.predictions import Predictions

GROWS_AFTER = 32
"""So many pieces of the largest size that is tried must fit in a row before larger ones are tried."""

_SAYS_SO = re.compile(
    r"out of memory|failed to allocate memory|bad_alloc|bad allocation|_ALLOC_FAILED|_ALLOCATION_FAILED"
    r"|available memory of \d+ is smaller than requested",
    re.IGNORECASE,
)
"""What CUDA, cuDNN, cuBLAS, ONNX Runtime's own stock of memory, and C++ say."""

_log = logging.getLogger(__name__)

Run = Callable[[NDArray[np.uint8]], Predictions]
"""Runs a network on some views."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a run failed since there was no memory for it: ONNX Runtime has no class of errors for that."""
    return isinstance(error, MemoryError) or _SAYS_SO.search(str(error)) is not None


class Splitting:
    """How many views go into a run of one network for now. Any thread may call it.

    Attributes
    ----------
    most
        Views in a run, at most; None as long as none was too large.
    without_memory
        Runs for which there was no memory until now.
    """

    def __init__(self) -> None:
        self.most: int | None = None
        self.without_memory = 0
        self._fitted = 0

    def predict(self, run: Run, pixels: NDArray[np.uint8]) -> Predictions:
        """Run a network on views, in pieces where that is needed.

        Parameters
        ----------
        run
        pixels : array of uint8, shape [N, size, size, 3]

        Raises
        ------
        Exception
            Whatever a run raises that is not about memory, or is that of a single view.
        """
        most = self.most
        if most is None or len(pixels) <= most:
            return self._halved(run, pixels)
        return _joined([self._halved(run, pixels[start : start + most]) for start in range(0, len(pixels), most)])

    def _halved(self, run: Run, pixels: NDArray[np.uint8]) -> Predictions:
        views = len(pixels)
        try:
            found = run(pixels)
        except Exception as error:  # ONNX Runtime's errors have no class in common but this one
            if not is_out_of_memory(error):
                raise
            self.without_memory += 1
            if views == 1:
                raise
            self._too_large(views, error)
        else:
            if self.most is not None:
                self._note_fit(views, self.most)
            return found
        # Out of the handler: what the failed run holds in its traceback is to be free for the next one.
        half = views // 2
        return _joined([self._halved(run, pixels[:half]), self._halved(run, pixels[half:])])

    def _too_large(self, views: int, error: Exception) -> None:
        half = max(1, views // 2)
        self.most = half if self.most is None else min(self.most, half)
        self._fitted = 0
        first = (str(error) or type(error).__name__).splitlines()[0]
        _log.warning("no memory for a run of %d views, which goes on in halves: %s", views, first)

    def _note_fit(self, views: int, most: int) -> None:
        """Have more views in a run again, once as many as are tried have fitted for a while."""
        if views >= most:
            self._fitted += 1
            if self._fitted >= GROWS_AFTER:
                self._fitted = 0
                self.most = most + max(1, most // 4)


def _joined(parts: Sequence[Predictions]) -> Predictions:
    """Return what was said of the pieces as if they had been one run."""

    def rows(output: str) -> NDArray[np.float32] | None:
        found = [getattr(part, output) for part in parts]
        return None if any(each is None for each in found) else np.concatenate(found)

    scores = np.concatenate([part.scores for part in parts])
    return Predictions(scores, *(rows(each) for each in ("uncertainty", "uncertainty_95", "out_of_domain", "evidence")))
