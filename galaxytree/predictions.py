"""What a network says of images, before it is put into words; and what several views of one image come to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

UNCERTAINTY = (
    "half the width of the interval about the score that holds the volunteers' vote fraction (weighted as the scores "
    "are) for 68 % of galaxies; it covers the network's error and the chance of who voted"
)
"""What `Prediction.uncertainty` is, for those who read answers."""

UNCERTAINTY_95 = (
    "the same as uncertainty for 95 % of galaxies; often more than 1.96 times as much, since vote fractions are not "
    "normally distributed about scores"
)
"""What `Prediction.uncertainty_95` is."""

FLAGGED_ABOVE = 0.5
"""Above this `out_of_domain` a picture is unlike the galaxies that the network was trained on."""


def flagged(out_of_domain: float | None) -> bool:
    """Whether a picture is too unlike what the network knows for its answer to go without a warning."""
    return out_of_domain is not None and out_of_domain > FLAGGED_ABOVE


@dataclass(frozen=True)
class Averages:
    """What a network says of some images, one row an image, each averaged over its views.

    Attributes
    ----------
    scores
        float64, shape [M, columns].
    uncertainty
        float64, shape [M, columns]: see `UNCERTAINTY`; None of a network that doesn't say.
    uncertainty_95
        float64, shape [M, columns]: see `UNCERTAINTY_95`; None of a network that doesn't say.
    out_of_domain
        float64, shape [M], from 0 to 1: how unlike the images that the network was trained on each one is; None of a
        network that doesn't say.
    views
        How many views each image was averaged over.
    """

    scores: NDArray[np.float64]
    uncertainty: NDArray[np.float64] | None = None
    uncertainty_95: NDArray[np.float64] | None = None
    out_of_domain: NDArray[np.float64] | None = None
    views: tuple[int, ...] = (1,)


@dataclass(frozen=True)
class Predictions:
    """What a network says of a batch, one row a view.

    Attributes
    ----------
    scores
        float32, shape [N, columns].
    uncertainty, uncertainty_95
        float32, shape [N, columns], or None; see `Averages`.
    out_of_domain
        float32, shape [N], or None; see `Averages`.
    evidence
        float32, shape [N, columns, h, w]: see `galaxytree.evidence`; None if nobody asked.
    """

    scores: NDArray[np.float32]
    uncertainty: NDArray[np.float32] | None = None
    uncertainty_95: NDArray[np.float32] | None = None
    out_of_domain: NDArray[np.float32] | None = None
    evidence: NDArray[np.float32] | None = None

    def over_views(self, views: Sequence[int] | None = None) -> Averages:
        """Average the rows that are views of one image.

        Scores and `out_of_domain` become their mean, and uncertainties their root mean square: the views see the same
        picture, so that their errors are common and don't average out. Averages of consistent scores are consistent,
        since all sums of a decision tree are linear in the scores.

        Averages are taken in float64, in which the order of the views makes no difference to speak of.

        Parameters
        ----------
        views
            How many rows each image has, in their order; all rows are of one image if not given.
        """
        counts = (len(self.scores),) if views is None else tuple(views)
        if len(counts) == len(self.scores):
            return self._as_they_are(counts)
        starts = [0, *accumulate(counts)]

        def average(output: str) -> NDArray[np.float64] | None:
            rows: NDArray[np.float32] | None = getattr(self, output)
            if rows is None:
                return None
            return np.stack([AVERAGES[output](rows[start:end]) for start, end in pairwise(starts)])

        return Averages(
            np.asarray(average("scores")),
            average("uncertainty"),
            average("uncertainty_95"),
            average("out_of_domain"),
            counts,
        )

    def _as_they_are(self, counts: tuple[int, ...]) -> Averages:
        def as_float64(rows: NDArray[np.float32] | None) -> NDArray[np.float64] | None:
            return None if rows is None else rows.astype(np.float64)

        return Averages(
            self.scores.astype(np.float64),
            as_float64(self.uncertainty),
            as_float64(self.uncertainty_95),
            as_float64(self.out_of_domain),
            counts,
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
