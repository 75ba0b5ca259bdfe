"""``POST /classify`` of a running service: what is answered for whole images."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
from PIL import Image

from galaxytree.decision_tree import load_tree
from galaxytree.schemas import Classification
from tests.galaxies import draw_galaxy, encode, jpeg, png

TREE = load_tree("galaxy-zoo-2")


def scores_of(answer: httpx.Response) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    assert answer.status_code == 200, answer.text
    return np.array(list(Classification.model_validate_json(answer.content).scores.values()))


@pytest.mark.parametrize("image", [jpeg(1), png(2), jpeg(3, size=90)])
def test_all_eleven_sums_hold(http: httpx.Client, image: bytes) -> None:
    answer = http.post("/classify", content=image, headers={"Content-Type": "image/jpeg"})
    full = Classification.model_validate_json(answer.content)
    assert tuple(full.scores) == TREE.columns
    TREE.check(scores_of(answer), 1e-6)
    assert full.questions is not None
    for question in full.questions:
        assert sum(one.score for one in question.answers) == pytest.approx(question.weight, abs=1e-6)


def test_what_an_answer_holds(http: httpx.Client) -> None:
    image = jpeg(4)
    answer = http.post("/classify", files={"file": ("a.jpg", image)}).json()
    assert answer["model"] == {"name": "tiny", "version": "2026.11.1", "tree": "galaxy-zoo-2"}
    digest = hashlib.sha256(image).hexdigest()
    assert answer["image"] == {"sha256": digest, "format": "JPEG", "width": 424, "height": 424}
    assert answer["views"] == 1
    assert len(answer["questions"]) == 11
    assert not {"uncertainty", "uncertainty_95", "out_of_domain"} & (
        set(answer) | set(answer["questions"][0]["answers"][0])
    )
    assert set(answer["path"]) <= set(TREE.columns)
    assert answer["summary"].endswith(".")


def test_the_form_and_the_raw_body_answer_the_same(http: httpx.Client) -> None:
    image = jpeg(5)
    form = http.post("/classify", files={"file": ("a.txt", image, "text/plain")}, data={"note": "a field beside it"})
    raw = http.post("/classify", content=image)
    assert form.json() == raw.json()


@pytest.mark.parametrize("said", ["image/png", "application/x-www-form-urlencoded", "application/json", "nonsense"])
def test_an_image_is_what_its_bytes_are(http: httpx.Client, said: str) -> None:
    answer = http.post("/classify", content=jpeg(), headers={"Content-Type": said})
    assert answer.json()["image"]["format"] == "JPEG"


def test_scores_alone(http: httpx.Client) -> None:
    answer = http.post("/classify", params={"detail": "scores"}, content=jpeg())
    assert set(answer.json()) == {"model", "image", "views", "scores"}


def test_a_detail_that_does_not_exist(http: httpx.Client) -> None:
    answer = http.post("/classify", params={"detail": "everything"}, content=jpeg())
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert "detail" in answer.json()["detail"]


def test_what_an_answer_took(http: httpx.Client) -> None:
    timing = http.post("/classify", content=jpeg()).headers["Server-Timing"]
    took = dict(part.split(";dur=") for part in timing.split(", "))
    assert list(took) == ["decode", "queue", "infer"]
    assert all(0 <= float(milliseconds) < 10_000 for milliseconds in took.values())


def variants() -> dict[str, bytes]:
    galaxy = draw_galaxy(6, size=200)
    grey = galaxy.mean(axis=2).astype(np.uint8)
    picture = Image.fromarray(galaxy)
    opaque = np.dstack([galaxy, np.full(galaxy.shape[:2], 255, np.uint8)])
    return {
        "grey JPEG": encode(grey),
        "grey PNG": encode(grey, "PNG"),
        "16-bit PNG": encode(grey.astype(np.uint16) * 257, "PNG"),
        "CMYK JPEG": encode(picture.convert("CMYK"), quality=95),
        "palette PNG": encode(picture.quantize(256), "PNG"),
        "alpha PNG": encode(opaque, "PNG"),
        "two-tone PNG": encode(picture.convert("1"), "PNG"),
        "progressive JPEG": encode(galaxy, progressive=True),
    }


@pytest.mark.parametrize("name", variants())
def test_images_of_every_kind(http: httpx.Client, name: str) -> None:
    scores = scores_of(http.post("/classify", content=variants()[name]))
    TREE.check(scores, 1e-6)
    galaxy = draw_galaxy(6, size=200)
    kind = galaxy.mean(axis=2).astype(np.uint8) if "grey" in name or "16-bit" in name else galaxy
    same = scores_of(http.post("/classify", content=encode(kind, "PNG")))
    assert np.abs(scores - same).max() < (0.5 if "two-tone" in name else 0.05)


def test_exif_turns_an_image_upright(http: httpx.Client) -> None:
    galaxy = draw_galaxy(7)[:, :300]
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    lying = encode(np.rot90(galaxy), quality=95, exif=exif)
    answer = http.post("/classify", content=lying)
    assert (answer.json()["image"]["width"], answer.json()["image"]["height"]) == (300, 424)
    upright = http.post("/classify", content=encode(galaxy, quality=95))
    assert np.abs(scores_of(answer) - scores_of(upright)).max() < 0.02


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 2), (17, 13)])
def test_images_of_every_shape(http: httpx.Client, shape: tuple[int, int]) -> None:
    TREE.check(scores_of(http.post("/classify", content=encode(np.zeros((*shape, 3), np.uint8), "PNG"))), 1e-6)


def test_in_a_crowd_an_image_gets_the_answer_that_it_gets_alone(http: httpx.Client) -> None:
    images = [jpeg(seed, size=64) for seed in range(8)]
    alone = [scores_of(http.post("/classify", content=image)) for image in images]

    def ask(number: int) -> float:
        scores = scores_of(http.post("/classify", content=images[number % 8]))
        return float(np.abs(scores - alone[number % 8]).max())

    with ThreadPoolExecutor(16) as crowd:
        assert max(crowd.map(ask, range(96))) <= 1e-6


def test_a_connection_survives_a_refused_image(http: httpx.Client) -> None:
    ports = []
    for body, status in ((b"no image", 422), (jpeg(), 200), (b"", 422), (png(), 200)):
        answer = http.post("/classify", content=body)
        assert answer.status_code == status
        ports.append(answer.extensions["network_stream"].get_extra_info("client_addr"))
    assert len(set(ports)) == 1
