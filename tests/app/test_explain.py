"""``POST /classify?explain=``: where the network looked, as a client gets it."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from app.devices import Device
from app.model import Model
from app.model_folder import ModelFolder
from app.providers import CPU
from app.refusals import ModelRefusedError
from app.settings import Settings
from galaxytree.decision_tree import load_tree
from galaxytree.schemas import Classification
from tests.galaxies import draw_galaxy, encode, jpeg, orientations, png
from tests.servers import threaded
from tests.tiny_model import FRAMING, write_model

TREE = load_tree("galaxy-zoo-2")
SPIRAL = "Class4.1"
ANSWERS = [SPIRAL, "Class1.1", "Class6.2", "Class8.7", "Class11.6"]


@pytest.fixture(scope="module")
def explaining(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Serve a model that says where it looked; its scores are moderate, so that rounding hides nothing."""
    folder = write_model(tmp_path_factory.mktemp("models") / "explained", outputs=("scores", "evidence"), factor=1)
    with (
        threaded(Settings(model=folder, device="cpu", workers=1, max_batch=8)) as service,
        httpx.Client(base_url=service.url, timeout=60) as client,
    ):
        yield client


def ask(client: httpx.Client, image: bytes, **params: Any) -> dict[str, Any]:  # noqa: ANN401  (what a query holds)
    answer = client.post("/classify", content=image, params=params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def drawn(explanation: dict[str, Any]) -> NDArray[np.uint8]:
    picture = Image.open(io.BytesIO(base64.b64decode(explanation["png"], validate=True)), formats=["PNG"])
    assert (picture.mode, picture.size) == ("L", (64, 64))
    return np.asarray(picture)


@pytest.mark.parametrize("views", [1, 8])
@pytest.mark.parametrize("answer", ANSWERS)
def test_the_mean_over_the_cells_is_what_the_scores_say(explaining: httpx.Client, answer: str, views: int) -> None:
    said = ask(explaining, png(3), explain=answer, views=views)
    explanation = said["explanation"]
    assert explanation["answer"] == answer
    grid = np.array(explanation["grid"])
    assert grid.shape == (4, 4)
    if views == 1:
        (own,) = (each["answers"] for each in said["questions"] if answer in {one["id"] for one in each["answers"]})
        logarithms = {one["id"]: np.log(one["fraction"]) for one in own}
        wanted = logarithms[answer] - np.mean(list(logarithms.values()))
        assert grid.mean() == pytest.approx(wanted, abs=1e-4)
    assert Classification.model_validate(said).explanation is not None


@pytest.mark.parametrize("answer", ANSWERS)
def test_the_map_is_drawn_from_the_cells(explaining: httpx.Client, answer: str) -> None:
    explanation = ask(explaining, png(5), explain=answer)["explanation"]
    # Pillow draws it too: from the middle of each cell to the next one's, and the edges held.
    cells = Image.fromarray(np.array(explanation["grid"], np.float32))
    light = np.asarray(cells.resize((64, 64), Image.Resampling.BILINEAR)).clip(0)
    assert light.max() > 0
    found = drawn(explanation)
    np.testing.assert_allclose(found, 255 * light / light.max(), atol=0.51)
    assert found.max() == 255


def test_a_form_is_explained_too_and_all_else_is_as_without(explaining: httpx.Client) -> None:
    image = jpeg(2)
    for params in ({}, {"detail": "scores"}, {"views": "8"}, {"priority": "bulk"}):
        plain = explaining.post("/classify", content=image, params=params)
        whole = explaining.post("/classify", content=image, params={**params, "explain": SPIRAL})
        form = explaining.post("/classify", files={"file": ("galaxy.jpg", image)}, params={**params, "explain": SPIRAL})
        assert whole.content == form.content
        # The explanation comes last, so that what is before it can be told apart.
        assert whole.content.startswith(plain.content[:-1] + b',"explanation":{')
        assert "explanation" not in plain.json()


def test_a_picture_that_is_turned_has_its_map_turned(explaining: httpx.Client) -> None:
    galaxy = draw_galaxy(4, 120)
    pictures = orientations(galaxy)
    maps = [ask(explaining, encode(each, "PNG"), explain=SPIRAL, views=8)["explanation"] for each in pictures]
    first, light = np.array(maps[0]["grid"]), drawn(maps[0])
    assert min(np.abs(first - each).max() for each in orientations(first)[1:]) > 0.01, "no two of them are alike"
    for found, grid, map_ in zip(maps, orientations(first), orientations(light), strict=True):
        np.testing.assert_allclose(np.array(found["grid"]), grid, atol=2e-6)
        np.testing.assert_allclose(drawn(found).astype(int), map_, atol=1)


@pytest.mark.parametrize(("width", "height"), [(200, 100), (90, 160), (424, 424)])
def test_the_box_is_what_the_network_sees_of_the_picture(explaining: httpx.Client, width: int, height: int) -> None:
    picture = encode(draw_galaxy(1, 424)[:height, :width], "PNG")
    box = ask(explaining, picture, explain=SPIRAL)["explanation"]["box"]
    side = FRAMING.field * min(width, height)
    wanted = {"left": (width - side) / 2, "top": (height - side) / 2, "width": side, "height": side}
    assert box == pytest.approx(wanted, abs=1e-3)


def test_the_box_is_that_of_the_picture_as_it_is_shown(explaining: httpx.Client) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # by a quarter
    picture = encode(draw_galaxy(1, 200)[:100], exif=exif)
    said = ask(explaining, picture, explain=SPIRAL)
    assert (said["image"]["width"], said["image"]["height"]) == (100, 200)
    assert said["explanation"]["box"]["top"] > said["explanation"]["box"]["left"] + 49


def test_where_nothing_speaks_for_an_answer_the_map_is_dark(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", outputs=("scores", "evidence"), plus={"evidence": -1e4})
    with threaded(Settings(model=folder, device="cpu", workers=1)) as service, httpx.Client(timeout=60) as client:
        answer = client.post(f"{service.url}/classify", content=png(), params={"explain": SPIRAL}).json()
    assert np.max(answer["explanation"]["grid"]) < 0
    assert not drawn(answer["explanation"]).any()


@pytest.mark.parametrize("asked", ["Class12.1", "", "class4.1", "Q4", "x" * 5000])
def test_an_answer_that_the_tree_has_not(explaining: httpx.Client, asked: str) -> None:
    for content in ({"content": png()}, {"files": {"file": ("galaxy.png", png())}}):
        answer = explaining.post("/classify", params={"explain": asked}, **content)  # type: ignore[arg-type]
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
        detail = answer.json()["detail"]
        assert "query.explain" in detail
        assert "Class1.1 to Class11.6" in detail
        assert len(detail) < 300


def test_two_answers_are_one_too_many(explaining: httpx.Client) -> None:
    answer = explaining.post("/classify?explain=Class4.1&explain=Class4.2", content=png())
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


def test_a_model_that_does_not_say_where_it_looked(http: httpx.Client, explaining: httpx.Client) -> None:
    assert http.get("/model").json()["explainable"] is False
    assert explaining.get("/model").json()["explainable"] is True
    for content in ({"content": png()}, {"files": {"file": ("galaxy.png", png())}}):
        answer = http.post("/classify", params={"explain": SPIRAL}, **content)  # type: ignore[arg-type]
        assert (answer.status_code, answer.json()["code"]) == (422, "not_explainable")
        assert answer.headers["content-type"] == "application/problem+json"


def test_which_answers_can_be_asked_for_is_described(explaining: httpx.Client) -> None:
    openapi = explaining.get("/openapi.json").json()
    (explain,) = (each for each in openapi["paths"]["/classify"]["post"]["parameters"] if each["name"] == "explain")
    assert explain["schema"]["enum"] == list(TREE.columns)
    assert not explain["required"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"metadata": {"evidence": None}}, "doesn't say what of its input the evidence covers"),
        ({"metadata": {"evidence": '{"left": 0}'}}, "doesn't say what of its input the evidence covers"),
        ({"plus": {"evidence": float("nan")}}, "values of evidence that are not finite"),
        ({"columns": 36}, "has the output scores"),
    ],
)
def test_evidence_that_is_of_no_use_is_refused_at_the_start(tmp_path: Path, given: dict[str, Any], says: str) -> None:
    folder = write_model(tmp_path / "m", outputs=("scores", "evidence"), **given)
    with pytest.raises(ModelRefusedError, match=says):
        Model(ModelFolder.open(folder), Device(CPU, "for the test"), 1).warm_up()
