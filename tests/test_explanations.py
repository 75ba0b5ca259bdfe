"""Where the shipped network looked: its evidence comes to its scores, and what a bright arm adds to lies on the arm."""

from functools import cache
from typing import Any

import numpy as np
import onnxruntime
import orjson
import pytest
from numpy.typing import NDArray

from app.devices import Device
from app.engine import Engine
from app.explanation import SIDE
from app.jobs import Job
from app.model import Model, Precision
from app.model_folder import ModelFolder
from app.providers import CPU
from galaxytree.card import INT8_FILE, MODEL_FILE
from galaxytree.decision_tree import load_tree
from galaxytree.evidence import EVIDENCE
from galaxytree.imaging import GALAXY_ZOO_FRAMING
from galaxytree.views import Views
from tests.galaxies import draw_galaxy, encode
from training.evaluate import SHIPPED

TREE = load_tree("galaxy-zoo-2")
SPIRAL = "Class4.1"
PIXELS = 424
SEEN = slice(100, 324)
"""What the network sees of a picture of so many pixels: the central 112 of 144 of the central 288."""

QUARTERS = range(4)


@pytest.mark.parametrize("name", [MODEL_FILE, INT8_FILE])
def test_the_mean_over_the_cells_is_what_the_scores_say(name: str) -> None:
    session = onnxruntime.InferenceSession(SHIPPED / name, providers=["CPUExecutionProvider"])
    images = np.stack([GALAXY_ZOO_FRAMING.frame(draw_galaxy(seed)) for seed in range(4)])
    scores, evidence = session.run(["scores", EVIDENCE], {"images": images})
    assert evidence.shape == (4, len(TREE.columns), 4, 4)
    fractions = np.log(TREE.fractions(scores.astype(np.float64)))
    for question in TREE.questions:
        own = TREE.slices[question.id]
        wanted = fractions[:, own] - fractions[:, own].mean(axis=1, keepdims=True)
        np.testing.assert_allclose(evidence[:, own].mean(axis=(2, 3)), wanted, atol=1e-4)


@pytest.mark.parametrize("name", [MODEL_FILE, INT8_FILE])
def test_a_run_that_does_not_ask_for_it_says_the_same(name: str) -> None:
    session = onnxruntime.InferenceSession(SHIPPED / name, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_outputs() if each.name != EVIDENCE]
    options = onnxruntime.RunOptions()
    options.only_execute_path_to_fetches = True
    images = np.stack([GALAXY_ZOO_FRAMING.frame(draw_galaxy(seed)) for seed in range(3)])
    without = session.run(names, {"images": images}, options)
    beside = session.run([*names, EVIDENCE], {"images": images}, options)
    assert [each.tobytes() for each in without] == [each.tobytes() for each in beside[:-1]]


@cache
def engine(precision: Precision) -> Engine:
    return Engine(Model(ModelFolder.open(None), Device(CPU, "for the test"), 1, precision), 10**8)


def explained(picture: NDArray[np.uint8], precision: Precision, views: Views) -> dict[str, Any]:
    job = Job(encode(picture, "PNG"), views=views, full=True, explain=TREE.index[SPIRAL])
    (answer,) = engine(precision).answer([job], [engine(precision).read(job)])
    found: dict[str, Any] = orjson.loads(answer)
    return found


def light_of(answer: dict[str, Any]) -> NDArray[np.float64]:
    """Return the evidence for the answer at each pixel of the map, which a pixel of 255 levels would round."""
    places = ((np.arange(SIDE) + 0.5) * (4 / SIDE) - 0.5).clip(0, 3)
    between = (1 - np.abs(places[:, None] - np.arange(4))).clip(0)
    return np.asarray((between @ np.array(answer["explanation"]["grid"]) @ between.T).clip(0))


@cache
def galaxy_with_an_arm() -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Draw a faint disk with a bulge and one bright arm, all of it right of the middle.

    Returns
    -------
    picture : array of uint8, shape [424, 424, 3]
    arm : array of float64, shape [64, 64]
        Which part of each pixel of the map the arm covers.
    """
    y, x = np.mgrid[-1 : 1 : PIXELS * 1j, -1 : 1 : PIXELS * 1j]
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    along = (angle + 1.2) / 2.4
    beside = np.where((along > 0) & (along < 1), radius - (0.25 + 0.2 * along), 9)
    arm = 0.7 * np.exp(-((beside / 0.04) ** 2))
    light = arm + 0.35 * np.exp(-radius / 0.16) + 0.8 * np.exp(-((radius / 0.05) ** 2))
    noise = np.random.default_rng(1).normal(0.03, 0.008, (PIXELS, PIXELS, 1))
    picture = (255 * (light[..., None] * np.array([0.8, 0.85, 1]) + noise).clip(0, 1)).astype(np.uint8)
    seen = (np.abs(beside) < 0.04)[SEEN, SEEN].astype(np.float64)
    steps = np.linspace(0, len(seen), SIDE, endpoint=False).astype(int)
    within = np.add.reduceat(np.add.reduceat(seen, steps, axis=0), steps, axis=1)
    return picture, within / np.add.reduceat(np.add.reduceat(np.ones_like(seen), steps, axis=0), steps, axis=1)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("quarter", QUARTERS)
def test_what_speaks_for_a_spiral_lies_on_its_bright_arm(precision: Precision, quarter: int) -> None:
    picture, arm = galaxy_with_an_arm()
    assert arm[:, : SIDE // 2].max() == 0, "the other half has none of it"
    answer = explained(np.rot90(picture, quarter), precision, views=8)
    assert answer["explanation"]["box"] == {"left": 100, "top": 100, "width": 224, "height": 224}
    assert SPIRAL in answer["path"]
    # As the picture was before it was turned.
    light = np.rot90(light_of(answer), -quarter)
    assert light[:, SIDE // 2 :].sum() / light.sum() > 0.7
    assert (light * arm).sum() / light.sum() > 1.3 * arm.mean()


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_in_one_view_the_map_goes_with_the_arm(precision: Precision) -> None:
    picture, _ = galaxy_with_an_arm()
    middle = np.arange(SIDE) + 0.5 - SIDE / 2
    light = [light_of(explained(each, precision, views=1)) for each in (picture, picture[:, ::-1])]
    right, left = ((each.sum(axis=0) * middle).sum() / each.sum() for each in light)
    assert right - left > 5, "of 64 pixels"
