"""Error bars: whether votes lie within them as often as they should; and galaxies unlike those of training."""

from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galaxytree.predictions import FLAGGED_ABOVE
from training.arrays import Galaxies
from training.coverage import INTERVALS, coverage
from training.explore.content import Card, Drawing, Gallery, Part, counted, number
from training.explore.embed import INK, QUIET, SCORES, VOTES, drawing, panel, photograph
from training.predict import Predictions

_FARTHEST = 5.0
_SHOWN = 10
_COMPARED = (
    "The curve is a normal distribution, for comparison; error bars may hold where votes are not distributed so."
)


def deviations(predictions: Predictions, votes: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return (vote - score) / uncertainty, float64 [N, columns]; NaN where one is not known or the last is not above 0.

    Within -1 to 1 lie the votes that the narrow error bars hold.

    Raises
    ------
    ValueError
        If the model gives no error bars.
    """
    if predictions.uncertainty is None:
        msg = "the model gives no error bars"
        raise ValueError(msg)
    errors = predictions.uncertainty.astype(np.float64)
    usable = np.isfinite(errors) & (errors > 0)
    difference = votes.astype(np.float64) - predictions.scores
    return np.divide(difference, errors, out=np.full_like(difference, np.nan), where=usable)


def uncertainty(galaxies: Galaxies, predictions: Predictions) -> Part:
    """Show the coverage of the error bars, if the model gives any, and what it takes for out of its domain."""
    name, title = "uncertainty", "Whether the error bars hold"
    blocks: list[Gallery] = []
    if (halves := predictions.halves) is None:
        text = ["This model gives no error bars: its file has no output named uncertainty."]
    else:
        deviation = deviations(predictions, galaxies.votes)
        unusable = int((np.isfinite(galaxies.votes) & ~np.isfinite(deviation)).sum())
        found = coverage(galaxies.tree, predictions.scores, halves, galaxies.votes)
        given = predictions.uncertainty_95 is not None
        within = _within(found["all"]["held"], ("uncertainty", "uncertainty_95" if given else "1.96 uncertainty"))
        text = [
            (
                "With each score the model gives error bars. If they hold, the vote fractions of 68 % of the galaxies "
                "lie within the narrow ones, and of 95 % within the wide ones, on every question. Fewer means that the "
                "model is too sure of itself, more that it is too careful."
            ),
        ]
        if not given:
            text.append(
                "Its file has no output named uncertainty_95: the wide error bars are 1.96 times the narrow ones, as "
                "they would be if votes were normally distributed."
            )
        left_out = f"{counted(unusable, 'vote')} left out of the histogram: uncertainty there is not above 0."
        blocks.append(
            Gallery(
                (
                    Card("Votes within each interval", (_coverage(galaxies, found),)),
                    Card(
                        "Distance of the votes from the scores",
                        (_histogram(deviation, within),),
                        (*within, _COMPARED, *([left_out] if unusable else [])),
                    ),
                )
            )
        )
    if predictions.out_of_domain is not None:
        text.append(
            "It also says how unlike the galaxies of training a picture is, from 0 to 1. The galaxies below are "
            "those of the validation split that it finds strangest."
        )
        blocks += _strangers(galaxies, predictions.out_of_domain)
    return Part(name, title, tuple(text), tuple(blocks))


def _within(held: list[float] | None, halves: tuple[str, str]) -> tuple[str, ...]:
    """Say what part of all votes each interval holds, none if there are no votes; the halves are named as in a file."""
    return tuple(
        f"Within ±{half}: {part:.1%} of the vote fractions, where {promised:.0%} are meant."
        for (promised, _), half, part in zip(INTERVALS, halves, held or (), strict=False)
    )


def _coverage(galaxies: Galaxies, found: dict[str, Any]) -> Drawing:
    tree = galaxies.tree
    figure, axes = panel(4.6, 0.27 * len(tree.questions) + 1.1)
    rows, read = np.arange(len(tree.questions)), []
    for place, ((promised, _), marker, colour) in enumerate(zip(INTERVALS, "os", (VOTES, SCORES), strict=True)):
        held = [found[question]["held"] for question in tree.slices]
        parts = np.array([np.nan if each is None else each[place] for each in held])
        axes.axvline(100 * promised, color=colour, lw=1, ls="--")
        axes.plot(100 * parts, rows, marker, color=colour, label=f"{promised:.0%} interval", ms=5)
        read += [
            f"{question} {promised:.0%} interval: {'no votes' if np.isnan(part) else format(part, '.0%')}"
            for question, part in zip(tree.slices, parts, strict=True)
        ]
    axes.set_yticks(rows, list(tree.slices))
    axes.set(xlim=(0, 101), ylim=(len(rows) - 0.5, -0.5), xlabel="votes within the interval (%)")
    axes.grid(axis="x", color=QUIET)
    axes.tick_params(length=0)
    figure.legend(loc="outside upper right", ncols=2, frameon=False, fontsize=8)
    return drawing(figure, f"Part of the votes within each interval: {', '.join(read)}.")


def _histogram(deviation: NDArray[np.float64], within: tuple[str, ...]) -> Drawing:
    known = deviation[np.isfinite(deviation)]
    figure, axes = panel(4.6, 3.0)
    edges = np.linspace(-_FARTHEST, _FARTHEST, 41)
    counts, _ = np.histogram(known.clip(-_FARTHEST, _FARTHEST), edges)
    density = counts / max(known.size, 1) / np.diff(edges)
    axes.stairs(density, edges, fill=True, color=SCORES, label="votes")
    fine = np.linspace(-_FARTHEST, _FARTHEST, 201)
    axes.plot(fine, [NormalDist().pdf(float(each)) for each in fine], color=INK, lw=1.2, label="a normal distribution")
    axes.set(xlabel="(vote - score) / uncertainty", ylabel="density", xlim=(-_FARTHEST, _FARTHEST))
    figure.legend(loc="outside upper right", ncols=2, frameon=False, fontsize=8)
    beyond = int((np.abs(known) > _FARTHEST).sum())
    said = (
        f"Histogram of vote less score in units of uncertainty, with a normal distribution for comparison: "
        f"{counted(known.size, 'vote')}, of which {beyond:,} lie beyond {_FARTHEST:g} and count in the outermost bins."
    )
    return drawing(figure, " ".join((said, *within)))


def _strangers(galaxies: Galaxies, out_of_domain: NDArray[np.float32]) -> list[Gallery]:
    finite = np.isfinite(out_of_domain)
    figure, axes = panel(4.6, 2.6)
    counts, edges = np.histogram(out_of_domain[finite], np.linspace(0, 1, 41))
    axes.stairs(counts, edges, fill=True, color=VOTES)
    axes.set(xlim=(0, 1), xlabel="out of domain (0: like the training, 1: unlike)", ylabel="galaxies")
    above = int((out_of_domain[finite] > FLAGGED_ABOVE).sum())
    said = f"{counted(above, 'galaxy')} of {finite.sum():,} lie above {FLAGGED_ABOVE:g}, where a picture is flagged."
    plot = drawing(figure, f"Histogram of out of domain: {said}")
    order = [int(row) for row in np.argsort(-out_of_domain, kind="stable") if finite[row]][:_SHOWN]
    cards = []
    for row in order:
        name, value = str(galaxies.names[row]), number(float(out_of_domain[row]))
        picture = photograph(galaxies.images[row], f"Galaxy {name}, out of domain {value}")
        cards.append(Card(name, (picture,), (f"out of domain {value}",)))
    return [
        Gallery((Card("How strange the galaxies are", (plot,), (said,)),)),
        Gallery(tuple(cards), "The strangest galaxies", width="small"),
    ]
