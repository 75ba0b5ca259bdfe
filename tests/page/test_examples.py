"""The example galaxies: drawn by the script of the project, and read by the shipped network as what they are."""

import io

import numpy as np
import pytest
from PIL import Image

from app.local import LocalEngine
from docs.draw_examples import EXAMPLES, FOLDER, SIZE
from galaxytree.predictions import FLAGGED_ABOVE

MOST_BYTES = 28_000

ON_PATH = {
    "spiral": {"Class1.2", "Class2.2", "Class3.2", "Class4.1", "Class11.2", "Class6.2"},
    "barred": {"Class1.2", "Class2.2", "Class3.1", "Class4.1", "Class11.2", "Class6.2"},
    "edge-on": {"Class1.2", "Class2.1", "Class9.1", "Class6.2"},
    "smooth": {"Class1.1", "Class7.1", "Class6.2"},
    "merger": {"Class6.1", "Class8.6"},
}


@pytest.fixture(scope="module")
def engine() -> LocalEngine:
    return LocalEngine()


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_files_are_what_the_script_draws(name: str) -> None:
    with Image.open(FOLDER / f"{name}.jpg") as committed:
        assert committed.size == (SIZE, SIZE)
        difference = np.abs(np.asarray(committed, np.int16) - EXAMPLES[name]())
    # JPEG loses a little everywhere, and more at sharp edges.
    assert difference.mean() < 3
    assert np.percentile(difference, 99.9) < 40


def test_they_are_all_there_is_and_small() -> None:
    files = sorted(FOLDER.iterdir())
    assert [file.name for file in files] == sorted(f"{name}.jpg" for name in EXAMPLES)
    assert sum(file.stat().st_size for file in files) <= MOST_BYTES


@pytest.mark.parametrize("name", ON_PATH)
def test_the_shipped_network_sees_what_was_drawn(engine: LocalEngine, name: str) -> None:
    answer = engine.classify((FOLDER / f"{name}.jpg").read_bytes())
    assert set(answer.path or ()) >= ON_PATH[name]
    assert answer.out_of_domain is not None
    assert answer.out_of_domain < FLAGGED_ABOVE


def test_what_is_no_galaxy_is_flagged(engine: LocalEngine) -> None:
    answer = engine.classify((FOLDER / "no-galaxy.jpg").read_bytes())
    assert answer.out_of_domain is not None
    assert answer.out_of_domain > FLAGGED_ABOVE


def test_another_encoding_of_an_example_is_seen_alike(engine: LocalEngine) -> None:
    png = io.BytesIO()
    Image.fromarray(EXAMPLES["barred"]()).save(png, "PNG")
    assert set(engine.classify(png.getvalue()).path or ()) >= ON_PATH["barred"]
