"""The model that ships: whole, consistent, and as good when it is served as when it was measured."""

import io
import math
import tarfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from galaxytree.card import INT8_FILE, MODEL_FILE, ModelCard, sha256_of
from galaxytree.decision_tree import load_tree
from galaxytree.imaging import EncodedImage, decode
from galaxytree.predictions import FLAGGED_ABOVE
from galaxytree.views import VIEWS, Views
from tests.galaxies import encode, jpeg, orientations
from tests.servers import Process, galaxytree, serving
from training.evaluate import SHIPPED
from training.metrics import rmse
from training.predict import predict_onnx
from training.strange import STRANGE, strange
from training.votes import Votes, read_solutions

ROOT = Path(__file__).parent.parent
REAL = ROOT.parent / "shared" / "galaxy-zoo"
ORIGINALS = 1200
ORIGINALS_FOR_VALIDATION = 217
TABLES = ("scores", "uncertainty", "uncertainty_95")

needs_real_galaxies = pytest.mark.skipif(
    not REAL.is_dir(), reason=f"needs real images and votes in {REAL.name}, which are no part of the project"
)


@pytest.fixture(scope="module")
def model() -> Path:
    return SHIPPED


@pytest.fixture(scope="module")
def shipped_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """``galaxytree serve`` as a user starts it: nothing set but the port."""
    with serving(tmp_path_factory.mktemp("shipped") / "log", device="auto") as process:
        yield process


@pytest.fixture(scope="module")
def shipped(shipped_service: Process) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=shipped_service.url, timeout=60) as client:
        yield client


@pytest.fixture
def file_served(shipped: httpx.Client, model: Path) -> Path:
    """Return which of the model's files the service runs: that of integers, but on a GPU."""
    return model / {"fp32": MODEL_FILE, "int8": INT8_FILE}[shipped.get("/model").json()["precision"]]


def test_the_files_are_what_the_card_says(model: Path) -> None:
    card = ModelCard.read(model)
    assert card.name == model.name
    assert card.metrics["rmse"] <= 0.0860
    assert card.int8 is not None
    assert card.int8.metrics["rmse"] <= 0.0860
    assert card.int8.by_default, "it is what CPUs are to run"
    for name, sha256 in ((MODEL_FILE, card.sha256), (INT8_FILE, card.int8.sha256)):
        assert sha256_of(model / name) == sha256
        assert (model / name).stat().st_size < 30e6
    assert any("Willett" in each for each in card.citations)
    assert any("Lintott" in each for each in card.citations)


@pytest.mark.parametrize("name", [MODEL_FILE, INT8_FILE, "card.json"])
def test_the_files_tell_nothing_of_where_they_were_made(model: Path, name: str) -> None:
    content = (model / name).read_bytes()
    for trace in (b"site-packages", b"/home/", b"/root/", str(ROOT).encode()):
        assert trace not in content


def test_an_answer_meets_every_sum_to_1e_6(shipped: httpx.Client) -> None:
    answer = shipped.post("/classify", files={"file": ("galaxy.jpg", jpeg())}).json()
    tree = load_tree("galaxy-zoo-2")
    assert tuple(answer["scores"]) == tree.columns
    tree.check(np.array(list(answer["scores"].values())), 1e-6)


def test_it_says_how_sure_it_is_and_what_it_does_not_know(shipped: httpx.Client) -> None:
    assert shipped.get("/model").json()["outputs"] == [*TABLES, "out_of_domain"]


def test_a_galaxy_gets_the_same_answer_whichever_way_up_it_is(shipped: httpx.Client) -> None:
    galaxy = decode((ROOT / "docs" / "figures" / "galaxy.jpg").read_bytes())
    answers = [ask(shipped, encode(each, "PNG"), views=8) for each in orientations(galaxy)]
    for name in TABLES:
        assert np.ptp([list(answer[name].values()) for answer in answers], axis=0).max() <= 1e-5
    assert np.ptp([answer["out_of_domain"] for answer in answers]) <= 1e-5
    assert {answer["views"] for answer in answers} == {8}


@pytest.mark.parametrize("kind", STRANGE)
@pytest.mark.parametrize("views", VIEWS)
def test_what_is_no_galaxy_is_flagged(shipped: httpx.Client, kind: str, views: Views) -> None:
    picture = encode(strange(kind, 1, 424)[0], "PNG")
    assert ask(shipped, picture, views=views)["out_of_domain"] > FLAGGED_ABOVE


def test_local_classification_uses_it_too(tmp_path: Path) -> None:
    (tmp_path / "galaxy.jpg").write_bytes(jpeg())
    done = galaxytree("classify", "--local", str(tmp_path / "galaxy.jpg"))
    assert done.returncode == 0, done.stderr
    assert "Is the galaxy simply smooth and rounded" in done.stdout


@needs_real_galaxies
@pytest.mark.parametrize("views", VIEWS)
def test_what_was_trained_on_is_what_is_served(
    shipped: httpx.Client, file_served: Path, views: Views, record_property: Callable[[str, object], None]
) -> None:
    # Worth its half minute: nothing else would notice a cut or a scaling that differs between training and serving.
    tree = load_tree("galaxy-zoo-2")
    votes = Votes(tree)
    read_solutions(REAL / "training_solutions_rev1.csv", votes)
    originals = _pictures(REAL / "images-424-originals.tar")
    small = _pictures(REAL / "images-144-labels37.tar")
    names = sorted(originals)
    assert len(names) == ORIGINALS
    if views == 8:
        # Those that the card's figures are of.
        validation = set((REAL / "validation_ids.csv").read_text("utf-8").split())
        names = [name for name in names if name in validation]
        assert len(names) == ORIGINALS_FOR_VALIDATION
    truth = np.stack([votes.rows[name] for name in names])

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda name: ask(shipped, originals[name], views=views), names))
    served = np.array([list(answer["scores"].values()) for answer in answers], np.float32)
    measured = predict_onnx(file_served, np.stack([decode(small[name]) for name in names]), views).scores
    record_property("rmse_served", rmse(served, truth))
    record_property("rmse_measured", rmse(measured, truth))
    assert math.isclose(rmse(served, truth), rmse(measured, truth), abs_tol=0.002)
    # Turned before they are framed, and not after.
    framing = ModelCard.read(file_served.parent).framing
    for name, scores in list(zip(names, served, strict=True))[:20]:
        turned = framing.read(EncodedImage(originals[name]), views)
        np.testing.assert_allclose(scores, predict_onnx(file_served, turned).scores.mean(axis=0), atol=1e-5)
    assert np.mean([answer["out_of_domain"] > FLAGGED_ABOVE for answer in answers]) < 0.1


def ask(shipped: httpx.Client, image: bytes, views: Views) -> dict[str, Any]:
    answer = shipped.post("/classify", content=image, params={"detail": "scores", "views": views})
    assert answer.status_code == 200, answer.text
    parsed: dict[str, Any] = answer.json()
    return parsed


def _pictures(path: Path) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(path.read_bytes())) as archive:
        return {Path(each.name).stem: archive.extractfile(each).read() for each in archive if each.isfile()}  # type: ignore[union-attr]
