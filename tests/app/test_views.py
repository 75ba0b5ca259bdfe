"""Answers averaged over the eight orientations of an image, from real pictures through real services."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from app.settings import Settings
from galaxytree.client import Client
from galaxytree.decision_tree import load_tree
from galaxytree.schemas import Classification
from tests.galaxies import draw_galaxy, encode, jpeg, orientations, png
from tests.servers import Held, Process, serving, threaded, wait_for
from tests.tiny_model import write_model

TREE = load_tree("galaxy-zoo-2")
ALL_OUTPUTS = ("out_of_domain", "uncertainty_95", "scores", "uncertainty")
INTERVALS = ("uncertainty", "uncertainty_95")


@pytest.fixture(scope="module")
def rich_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a model that answers everything that a model can answer."""
    return write_model(tmp_path_factory.mktemp("models") / "rich", outputs=ALL_OUTPUTS)


@pytest.fixture(scope="module")
def rich(rich_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with serving(tmp_path_factory.mktemp("rich") / "log", model=str(rich_model), views="8") as process:
        yield process


def ask(service: Process | str, image: bytes, **params: str | int) -> dict[str, Any]:
    url = service if isinstance(service, str) else service.url
    answer = httpx.post(f"{url}/classify", content=image, params=params, timeout=60)
    assert answer.status_code == 200, answer.text
    parsed: dict[str, Any] = answer.json()
    return parsed


def difference(one: dict[str, float], other: dict[str, float]) -> float:
    assert list(one) == list(other)
    return max(abs(one[name] - other[name]) for name in one)


def lopsided(shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Draw what looks different in every orientation, with grain as fine as pixels: uint8 [*shape, 3]."""
    picture = np.random.default_rng(sum(shape)).integers(0, 256, (*shape, 3), np.uint8)
    picture[: shape[0] // 2, : shape[1] // 3] = 0
    return picture


SHAPES = [(424, 424), (423, 423), (120, 201), (201, 120), (77, 150), (33, 31), (1, 5)]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_picture_that_is_turned_or_mirrored_gets_the_same_answer(rich: Process, shape: tuple[int, int]) -> None:
    first, *others = (ask(rich, encode(each, "PNG"), views=8) for each in orientations(lopsided(shape)))
    TREE.check(np.array(list(first["scores"].values())), 1e-6)
    for other in others:
        assert difference(first["scores"], other["scores"]) <= 1e-5
        assert all(difference(first[width], other[width]) <= 1e-5 for width in INTERVALS)
        assert abs(first["out_of_domain"] - other["out_of_domain"]) <= 1e-5
        assert (first["summary"], first["path"]) == (other["summary"], other["path"])


def test_with_one_view_the_answer_depends_on_which_way_up_it_is(rich: Process) -> None:
    first, *others = (ask(rich, encode(each, "PNG"), views=1) for each in orientations(lopsided((200, 200))))
    assert min(difference(first["scores"], other["scores"]) for other in others) > 0.01


def test_it_is_the_average_of_what_each_orientation_gets_alone(rich: Process) -> None:
    picture = draw_galaxy(4, 151)
    alone = [ask(rich, encode(each, "PNG"), views=1) for each in orientations(picture)]
    together = ask(rich, encode(picture, "PNG"), views=8)
    for name in TREE.columns:
        scores = [each["scores"][name] for each in alone]
        assert together["scores"][name] == pytest.approx(np.mean(scores), abs=1e-6)
        for width in INTERVALS:
            halves = [each[width][name] for each in alone]
            assert together[width][name] == pytest.approx(np.sqrt(np.mean(np.square(halves))), abs=2e-6)
    assert np.ptp([each["uncertainty"]["Class1.1"] for each in alone]) > 1e-4
    assert together["out_of_domain"] == pytest.approx(np.mean([each["out_of_domain"] for each in alone]), abs=2e-6)
    assert [each["views"] for each in (*alone, together)] == [1] * 8 + [8]


def test_the_setting_is_for_who_does_not_say(rich: Process, service: Process) -> None:
    image = png(5)
    assert httpx.get(f"{rich.url}/model").json()["default_views"] == 8
    assert httpx.get(f"{rich.url}/model").json()["outputs"] == ["scores", *INTERVALS, "out_of_domain"]
    assert ask(rich, image) == ask(rich, image, views=8)
    assert ask(rich, image, views=1)["views"] == 1
    assert ask(service, image) == ask(service, image, views=1)
    with Client(service.url) as client:
        assert [client.classify(image, views=views).views for views in (None, 1, 8)] == [1, 1, 8]


@pytest.mark.parametrize("views", ["", "0", "2", "-8", "16", "8.0", "eight", "null"])
def test_other_numbers_of_views(http: httpx.Client, views: str) -> None:
    answer = http.post("/classify", params={"views": views}, content=jpeg())
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert "views: Input should be 1 or 8" in answer.json()["detail"]


@pytest.mark.parametrize("name", ["views", "detail"])
def test_a_parameter_that_is_given_twice(http: httpx.Client, name: str) -> None:
    first, second = {"views": ("1", "8"), "detail": ("full", "scores")}[name]
    for other in (first, second):
        answer = http.post("/classify", params=[(name, first), (name, other)], content=jpeg())
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
        assert f"{name}: given more than once" in answer.json()["detail"]
    # What the route doesn't know is ignored, as often as it comes.
    answer = http.post("/classify", params=[("note", "a"), ("note", "b"), (name, second)], content=jpeg())
    assert answer.status_code == 200


def test_a_form_is_read_for_its_file_only(http: httpx.Client) -> None:
    form = http.post("/classify", files={"file": ("a.jpg", jpeg())}, data={"views": "8", "detail": "scores"})
    assert form.json() == http.post("/classify", content=jpeg()).json()
    assert form.json()["views"] == 1


def test_in_a_crowd_of_mixed_views_each_gets_its_own(rich: Process) -> None:
    images = [encode(draw_galaxy(seed, 64), "PNG") for seed in range(6)]
    alone = [(ask(rich, image, views=1), ask(rich, image, views=8)) for image in images]

    def off(number: int) -> float:
        image, many = number % 6, number // 6 % 2
        answer = ask(rich, images[image], views=(1, 8)[many])
        return difference(answer["scores"], alone[image][many]["scores"])

    with ThreadPoolExecutor(16) as crowd:
        assert max(crowd.map(off, range(36))) <= 1e-6


def settings(folder: Path, **fields: object) -> Settings:
    return Settings.model_validate({"model": folder, "device": "cpu", "drain_seconds": 0, "workers": 1, **fields})


def test_the_views_of_an_image_are_one_run(rich_model: Path) -> None:
    with (
        threaded(settings(rich_model, max_batch=9, queue_images=33, ready_share=1), Held()) as one,
        ThreadPoolExecutor(8) as crowd,
    ):
        one.model.gate.clear()
        admission = one.admission
        waiting = [crowd.submit(ask, one.url, png(seed), views=8) for seed in range(4)]
        wait_for(lambda: admission.images == 32, "four images of eight views")
        # One more would have room with one view, but not with eight.
        refused = httpx.post(f"{one.url}/classify", content=png(), params={"views": 8})
        assert (refused.status_code, refused.json()["code"]) == (429, "overloaded")
        assert "each counted once a view" in refused.json()["detail"]
        assert httpx.get(f"{one.url}/health/ready").is_success
        waiting.append(crowd.submit(ask, one.url, png(9), views=1))
        wait_for(lambda: admission.images == 33, "the last one")
        one.model.gate.set()
        assert [answer.result()["views"] for answer in waiting] == [8, 8, 8, 8, 1]
        assert sorted(one.model.batches) in ([8, 8, 8, 9], [1, 8, 8, 8, 8])
        assert admission.images == 0


@pytest.mark.parametrize("limits", [{"max_batch": 7}, {"queue_images": 7}])
def test_a_service_without_room_for_eight_views(model_folder: Path, limits: dict[str, int]) -> None:
    with threaded(settings(model_folder, **limits)) as one:
        answer = httpx.post(f"{one.url}/classify", content=png(), params={"views": 8})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
        assert "no room for 8 views" in answer.json()["detail"]
        assert ask(one.url, png(), views=1) == ask(one.url, png())


@pytest.mark.parametrize("limits", [{"max_batch": 8}, {"queue_images": 8}])
def test_a_service_with_room_for_just_eight(model_folder: Path, limits: dict[str, int]) -> None:
    with threaded(settings(model_folder, views="8", **limits)) as one:
        assert [ask(one.url, png(seed))["views"] for seed in range(2)] == [8, 8]


def test_ready_means_room_for_an_image_as_it_is_set(model_folder: Path) -> None:
    with threaded(settings(model_folder, views=8, queue_images=12), Held()) as one, ThreadPoolExecutor(1) as crowd:
        one.model.gate.clear()
        waiting = crowd.submit(ask, one.url, png())
        wait_for(lambda: one.admission.images == 8, "the first image")
        assert httpx.get(f"{one.url}/health/ready").status_code == 503
        assert httpx.post(f"{one.url}/classify", content=png()).status_code == 429
        one.model.gate.set()
        assert waiting.result()["views"] == 8


def test_a_picture_unlike_what_the_model_knows(rich: Process) -> None:
    known, unlike = ask(rich, png()), ask(rich, encode(np.full((50, 70, 3), 255, np.uint8), "PNG"))
    assert known["out_of_domain"] < 0.5 < unlike["out_of_domain"]
    warning = "This does not look like the galaxies the model knows; take the answer with care. "
    assert unlike["summary"].startswith(warning)
    assert warning not in known["summary"]


def test_the_scores_alone_come_with_what_else_the_model_says(rich: Process) -> None:
    answer = ask(rich, png(), detail="scores")
    assert set(answer) == {"model", "image", "views", "scores", *INTERVALS, "out_of_domain"}
    full = Classification.model_validate(ask(rich, png()))
    assert full.questions is not None
    assert full.uncertainty is not None
    assert full.uncertainty_95 is not None
    assert (answer["uncertainty"], answer["uncertainty_95"]) == (full.uncertainty, full.uncertainty_95)
    for question in full.questions:
        for each in question.answers:
            assert each.uncertainty == full.uncertainty[each.id]
            assert each.uncertainty_95 == full.uncertainty_95[each.id]
            # As the network is made: the two are not mistaken for each other.
            assert each.uncertainty_95 == pytest.approx(2.5 * each.uncertainty, abs=2e-6)


def test_candels_answers_everything_too(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "candels", tree="candels", outputs=ALL_OUTPUTS)
    with threaded(settings(folder)) as one:
        first, turned = (ask(one.url, encode(each, "PNG"), views=8) for each in orientations(draw_galaxy(1, 99))[:2])
    assert [len(first[each]) for each in ("scores", *INTERVALS)] == [5] * 3
    assert difference(first["scores"], turned["scores"]) <= 1e-5
