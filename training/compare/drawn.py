"""Made-up galaxies of the tree `candels`, drawn from the components that they show: its images are not at hand."""

import hashlib
from functools import cache

import numpy as np
from numpy.typing import NDArray

from galaxytree.decision_tree import load_tree
from galaxytree.imaging import GALAXY_ZOO_FRAMING, Framing
from training.arrays import Galaxies, Images

_SIDE = 72
_SKY, _NOISE = 0.05, 0.02
_CLUMPS = 4


@cache
def drawn_galaxies(count: int = 1280, validation: int = 256, seed: int = 1) -> Galaxies:
    """Draw galaxies, of which the last ones are set aside for validation.

    Each shows each of the first four components with a brightness that is 0 in half of the cases and else anywhere
    between 0 and 1: that is the fraction of the classifiers who saw it. What shows little light was unclassifiable.

    Returns
    -------
    Galaxies
        Of the tree `candels`, images uint8 [count, 72, 72, 3].
    """
    random, tree = np.random.default_rng(seed), load_tree("candels")
    brightness = random.uniform(size=(count, 4)) * (random.uniform(size=(count, 4)) < 0.5)
    unclassifiable = np.exp(-brightness.sum(axis=1, keepdims=True) / 0.2)
    votes = np.concatenate([brightness, unclassifiable], axis=1).astype(np.float32)
    pixels = np.stack([_draw(each, random) for each in brightness])
    aside = np.arange(count) >= count - validation
    return Galaxies(
        names=np.array([f"made-up-{number}" for number in range(count)]),
        images=Images(pixels, np.arange(count)),
        votes=votes,
        lower=votes,
        upper=votes,
        validation=aside,
        calibration=np.zeros_like(aside),
        tree=tree,
        framing=Framing(size=_SIDE, field=GALAXY_ZOO_FRAMING.field),
        sha256=hashlib.sha256(pixels.tobytes() + votes.tobytes()).hexdigest(),
    )


def _draw(brightness: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.uint8]:
    """Draw spheroid, disk, clumps of an irregular galaxy and point source, each as bright as it is said to be."""
    y, x = np.mgrid[-1 : 1 : _SIDE * 1j, -1 : 1 : _SIDE * 1j]
    angle, flattening = random.uniform(0, np.pi), random.uniform(0.2, 0.6)
    along = x * np.cos(angle) + y * np.sin(angle)
    across = (y * np.cos(angle) - x * np.sin(angle)) / flattening
    spheroid = np.exp(-4 * np.sqrt(np.hypot(x, y) / 0.3))
    disk = 0.5 * np.exp(-np.hypot(along, across) / 0.25)
    places = random.uniform(-0.5, 0.5, (_CLUMPS, 2))
    clumps = sum(0.5 * np.exp(-((x - px) ** 2 + (y - py) ** 2) / 0.08**2) for px, py in places)
    point = np.exp(-(x**2 + y**2) / 0.05**2)
    light = np.tensordot(brightness, np.stack([spheroid, disk, np.asarray(clumps), point]), axes=1)
    grey = _SKY + light + random.normal(0, _NOISE, light.shape)
    return np.repeat((255 * grey.clip(0, 1)).astype(np.uint8)[:, :, None], 3, axis=2)
