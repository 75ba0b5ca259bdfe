"""Several models in one service, by name."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from app.local import LocalEngine
from app.model_places import parse_models, places_of
from app.settings import Settings
from tests.app.reloads import HEADERS, admin_keys, reload, versioned
from tests.galaxies import jpeg
from tests.servers import Threaded, refusal, threaded, wait_for
from tests.tiny_model import write_model


def folders(place: Path) -> str:
    """Write two models; return the setting that names them."""
    versioned(place / "first", "1")
    write_model(place / "second", metadata={"name": "other"}, card={"name": "other"})
    return f"a={place / 'first'}, b={place / 'second'}"


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Threaded]:
    place = tmp_path_factory.mktemp("two")
    chosen = Settings(models=folders(place), device="cpu", workers=1, api_keys_file=admin_keys(place))
    with threaded(chosen) as one:
        yield one


def ask(one: Threaded, **query: str) -> httpx.Response:
    return httpx.post(f"{one.url}/classify", content=jpeg(), params=query, headers=HEADERS, timeout=60)


def name_of(answer: httpx.Response | dict[str, Any]) -> str:
    said = answer.json() if isinstance(answer, httpx.Response) else answer
    return str(said["model"]["name"])


def test_the_first_is_the_default(two: Threaded) -> None:
    assert name_of(ask(two)) == "tiny"
    assert ask(two).json() == ask(two, model="a").json()


def test_another_one_is_asked_by_its_name(two: Threaded) -> None:
    answer = ask(two, model="b")
    assert name_of(answer) == "other"
    assert answer.json()["scores"] != ask(two, model="a").json()["scores"]


def test_the_name_in_a_card_is_known_too(two: Threaded) -> None:
    assert ask(two, model="other").json() == ask(two, model="b").json()


def test_a_batch_asks_one_of_them(two: Threaded) -> None:
    files = [("files", (str(each), jpeg(), "image/jpeg")) for each in range(2)]
    for name, said in (("a", "tiny"), ("b", "other")):
        answer = httpx.post(f"{two.url}/classify/batch", params={"model": name}, files=files, headers=HEADERS)
        assert [name_of(each["classification"]) for each in answer.json()["results"]] == [said] * 2
        network = httpx.get(f"{two.url}/model", params={"model": name}).json()["network_sha256"]
        assert answer.headers["X-Galaxytree-Network"] == network


def test_who_asks_what_there_is(two: Threaded) -> None:
    said = httpx.get(f"{two.url}/models").json()["models"]
    assert [(each["name"], each["default"], name_of(each)) for each in said] == [
        ("a", True, "tiny"),
        ("b", False, "other"),
    ]
    assert httpx.get(f"{two.url}/model").json()["name"] == "tiny"
    assert httpx.get(f"{two.url}/model", params={"model": "b"}).json()["name"] == "other"
    assert httpx.get(f"{two.url}/decision-tree", params={"model": "b"}).json()["name"] == "galaxy-zoo-2"


def test_a_name_that_there_is_not(two: Threaded) -> None:
    calls = [
        ask(two, model="c"),
        httpx.post(f"{two.url}/classify/batch", params={"model": "c"}, json={"urls": ["x"]}, headers=HEADERS),
        httpx.get(f"{two.url}/model", params={"model": "c"}),
        httpx.get(f"{two.url}/decision-tree", params={"model": "c"}),
        ask(two, model=""),
    ]
    for answer in calls:
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_model")
        assert "there is: a, b." in answer.json()["detail"]


def test_only_the_one_that_changed_is_replaced(tmp_path: Path) -> None:
    chosen = Settings(models=folders(tmp_path), device="cpu", workers=1, api_keys_file=admin_keys(tmp_path))
    with threaded(chosen) as one:
        service = one.app.state.service
        first, second = service.live("a"), service.live("b")
        versioned(tmp_path / "second", "2")
        answer = reload(one.url)
        assert answer.json()["reloaded"] == ["b"]
        assert service.live("a") is first
        assert service.live("b") is not second
        assert ask(one, model="b").json()["model"]["version"] == "2"
        # Its card has another name now, which leads to the first one of it.
        assert ask(one, model="other").status_code == 404
        assert ask(one, model="tiny").json()["model"]["version"] == "1"
        wait_for(lambda: not service.reloader._old, "the old one to go")


def test_one_that_is_no_good_leaves_both(tmp_path: Path) -> None:
    chosen = Settings(models=folders(tmp_path), device="cpu", workers=1, api_keys_file=admin_keys(tmp_path))
    with threaded(chosen) as one:
        service = one.app.state.service
        before = service.roster.live
        versioned(tmp_path / "first", "3")
        write_model(tmp_path / "second", consistent=False)
        answer = reload(one.url)
        assert (answer.status_code, answer.json()["code"]) == (409, "model_refused")
        assert service.roster.live == before
        assert ask(one).json()["model"]["version"] == "1"


@pytest.mark.parametrize(
    ("said", "places"),
    [
        ("a=/x", {"a": Path("/x")}),
        ("a=/x, b=/a folder/y,", {"a": Path("/x"), "b": Path("/a folder/y")}),
        ("shipped, b=/y", {"shipped": None, "b": Path("/y")}),
    ],
)
def test_what_the_setting_says(said: str, places: dict[str, Path | None]) -> None:
    assert parse_models(said) == places


def test_without_a_service_the_default_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GALAXYTREE_MODELS", folders(tmp_path))
    monkeypatch.setenv("GALAXYTREE_MODEL", "b")
    assert LocalEngine().classify(jpeg()).model.name == "other"


def test_which_is_the_default() -> None:
    assert [*places_of(Settings(models="a=/x,b=/y"))] == ["a", "b"]
    assert [*places_of(Settings(models="a=/x,b=/y", model=Path("b")))] == ["b", "a"]
    assert places_of(Settings(model=Path("/x"))) == {"default": Path("/x")}


@pytest.mark.parametrize("said", ["", " ,", "=/x", "a b=/x", "a=/x,a=/y", "é=/x", f"{'a' * 65}=/x"])
def test_what_it_cannot_say(said: str) -> None:
    with pytest.raises(ValidationError):
        Settings(models=said)


def test_a_default_that_is_none_of_them() -> None:
    assert "model=c is none of the names in models (a, b)" in refusal(models="a=/x,b=/y", model="c")


def test_one_that_is_no_good_at_the_start(model_folder: Path, tmp_path: Path) -> None:
    assert "there is no model in" in refusal(models=f"a={model_folder},b={tmp_path / 'nowhere'}")
