"""Classifying in this process answers as the service does."""

from pathlib import Path

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from app.local import LocalEngine
from galaxytree.client import EngineError, ImageRefusedError
from galaxytree.schemas import Classification
from galaxytree.views import Views
from tests.galaxies import jpeg, png


@pytest.fixture
def engine(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> LocalEngine:
    monkeypatch.setenv("GALAXYTREE_MODEL", str(model_folder))
    monkeypatch.setenv("GALAXYTREE_DEVICE", "cpu")
    monkeypatch.setenv("GALAXYTREE_MAX_IMAGE_BYTES", "100000")
    return LocalEngine()


@pytest.mark.parametrize("image", [jpeg(8), png(9)])
@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("views", [None, 1, 8])
def test_it_answers_as_the_service_does(
    engine: LocalEngine, http: httpx.Client, image: bytes, views: Views | None, *, full: bool
) -> None:
    params = {"detail": "full" if full else "scores", **({} if views is None else {"views": str(views)})}
    served = Classification.model_validate_json(http.post("/classify", content=image, params=params).content)
    assert engine.classify(image, full=full, views=views) == served
    assert served.views == (views or 1)
    engine.close()


def test_it_takes_as_many_views_as_is_set(
    model_folder: Path, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("MODEL", str(model_folder)), ("DEVICE", "cpu"), ("VIEWS", "8"), ("QUEUE_IMAGES", "1")):
        monkeypatch.setenv(f"GALAXYTREE_{name}", value)
    engine = LocalEngine()
    served = http.post("/classify", content=png(), params={"views": 8}).content
    assert engine.classify(png()) == Classification.model_validate_json(served)
    engine.close()


@pytest.mark.parametrize(("image", "code"), [(b"", "undecodable_image"), (bytes(100_001), "payload_too_large")])
def test_it_refuses_as_the_service_does(engine: LocalEngine, image: bytes, code: str) -> None:
    with pytest.raises(ImageRefusedError) as refused:
        engine.classify(image)
    assert refused.value.code == code


def test_other_numbers_of_views(engine: LocalEngine) -> None:
    # The picture and one mirror image would have an average too, of no meaning.
    with pytest.raises(ValueError, match="views=2: an image has 1 or 8 views"):
        engine.classify(png(), views=2)  # type: ignore[arg-type]
    engine.close()


def test_a_model_that_answers_nonsense(engine: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    class Nonsense:
        def run(self, *_: object) -> list[NDArray[np.float32]]:
            return [np.full((1, 37), np.nan, np.float32)]

    monkeypatch.setattr(engine._engine.model, "_session", Nonsense())
    monkeypatch.setattr(engine._engine.model, "_wide_session", None)
    with pytest.raises(EngineError, match="the model answers scores that are not finite"):
        engine.classify(jpeg())


def test_without_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GALAXYTREE_MODEL", str(tmp_path))
    with pytest.raises(EngineError, match="there is no model in"):
        LocalEngine()


def test_with_wrong_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GALAXYTREE_DEVICE", "tpu")
    with pytest.raises(EngineError, match="device: Input should be"):
        LocalEngine()


def test_keys_are_no_matter_of_this_process(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GALAXYTREE_MODEL", str(model_folder))
    monkeypatch.setenv("GALAXYTREE_API_KEYS_FILE", "")
    engine = LocalEngine()
    assert engine.classify(jpeg()).summary
    engine.close()
