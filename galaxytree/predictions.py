"""What a network says of images, before it is put into words; and what several views of one image come to."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator

MOST_VIEWS = 8

_WRITTEN = {"1": 1, "8": 8}

Views = Annotated[
    Literal[1, 8],
    # Queries and environment variables are text.
    BeforeValidator(lambda given: _WRITTEN.get(given, given) if isinstance(given, str) else given),
]
"""How many views of an image an answer is averaged over: 1, the image as it is, or 8, see `Framing.frame_views`."""


@dataclass(frozen=True)
class Prediction:
    """What a network says of one image, averaged over its views.

    Attributes
    ----------
    scores
        float64, shape [columns].
    uncertainty
        float64, shape [columns]: half the width of the interval about each score that holds 68 % of the volunteers'
        votes, weighted as the scores are: a standard error; None of a network that doesn't say.
    uncertainty_95
        float64, shape [columns]: the same for 95 % of the votes, or None. It is a value of its own, since votes are
        not normally distributed about scores: if they were, it would be 1.96 times `uncertainty`.
    out_of_domain
        From 0 to 1: how unlike the images that the network was trained on this one is; None of one that doesn't say.
    views
        How many views it was averaged over.
    """

    scores: NDArray[np.float64]
    uncertainty: NDArray[np.float64] | None = None
    uncertainty_95: NDArray[np.float64] | None = None
    out_of_domain: float | None = None
    views: int = 1


@dataclass(frozen=True)
class Predictions:
    """What a network says of a batch, one row a view.

    Attributes
    ----------
    scores
        float32, shape [N, columns].
    uncertainty, uncertainty_95
        float32, shape [N, columns], or None; see `Prediction`.
    out_of_domain
        float32, shape [N], or None; see `Prediction`.
    """

    scores: NDArray[np.float32]
    uncertainty: NDArray[np.float32] | None = None
    uncertainty_95: NDArray[np.float32] | None = None
    out_of_domain: NDArray[np.float32] | None = None

    def over_views(self, rows: slice = slice(None)) -> Prediction:
        """Average the rows that are views of one image; all of them if not told which.

        Scores and `out_of_domain` become their mean, and uncertainties their root mean square: the views see the same
        picture, so that their errors are common and don't average out. Averages of consistent scores are consistent,
        since all sums of a decision tree are linear in the scores.

        Averages are taken in float64, in which the order of the views makes no difference to speak of.
        """

        def average(output: str) -> NDArray[np.float64] | None:
            views: NDArray[np.float32] | None = getattr(self, output)
            return None if views is None else AVERAGES[output](views[rows])

        unlike = average("out_of_domain")
        return Prediction(
            AVERAGES["scores"](self.scores[rows]),
            uncertainty=average("uncertainty"),
            uncertainty_95=average("uncertainty_95"),
            out_of_domain=None if unlike is None else float(unlike),
            views=len(self.scores[rows]),
        )


def _mean(views: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.asarray(views.astype(np.float64).mean(axis=0))


def _root_mean_square(views: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.sqrt(_mean(np.square(views.astype(np.float64))))


AVERAGES: dict[str, Callable[[NDArray[np.float32]], NDArray[np.float64]]] = {
    "scores": _mean,
    "uncertainty": _root_mean_square,
    "uncertainty_95": _root_mean_square,
    "out_of_domain": _mean,
}
"""Output of a network -> its average over views, which are the first axis; see `Predictions.over_views`."""
