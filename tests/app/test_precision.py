"""In which precision the network computes: what is set, what the model has, and what is said of it."""

from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from app import model as model_module
from app.devices import Device
from app.loading import load_model
from app.model import Model, Precision, choose_precision
from app.model_folder import ModelFolder
from app.providers import CPU, CUDA
from app.refusals import DeviceRefusedError, ModelRefusedError
from app.settings import Settings
from app.starting import start_of
from galaxytree.card import INT8_FILE, MODEL_FILE, MOST_RISE, sha256_of
from galaxytree.instructions import EXACT_SUMS, dot_product
from tests.galaxies import png
from tests.servers import refusal, serving, threaded
from tests.tiny_model import write_model

WITHOUT = "int8 gains little without instructions for it"
ON_CPU, ON_CUDA = Device(CPU, "for the test"), Device(CUDA, "for the test")


@pytest.fixture(autouse=True)
def with_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the CPU what it takes, whatever the tests run on."""
    monkeypatch.setattr(model_module, "dot_product", lambda: "VNNI")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a model whose int8 file costs next to nothing."""
    return write_model(tmp_path_factory.mktemp("int8") / "good", int8_rise=MOST_RISE)


@pytest.fixture(scope="module")
def poor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a model whose int8 file costs more than that."""
    return write_model(tmp_path_factory.mktemp("int8") / "poor", int8_rise=MOST_RISE * 1.01)


@pytest.mark.parametrize(
    ("which", "asked", "found", "why"),
    [
        ("good", "auto", "int8", "it is faster, and the card says that it raises the RMSE by at most 0.0003"),
        ("good", "fp32", "fp32", "it was asked for"),
        ("good", "int8", "int8", "it was asked for"),
        ("poor", "auto", "fp32", "the card doesn't say that int8 raises the RMSE by at most 0.0003"),
        ("poor", "int8", "int8", "it was asked for"),
        ("model_folder", "auto", "fp32", "the model has no int8 file"),
        ("model_folder", "fp32", "fp32", "it was asked for"),
    ],
)
def test_what_is_chosen_and_why(
    request: pytest.FixtureRequest, which: str, asked: Precision, found: str, why: str
) -> None:
    model = Model(ModelFolder.open(request.getfixturevalue(which)), ON_CPU, 1, asked)
    assert model.precision == found
    assert why in model.why_precision
    metadata = model._session.get_modelmeta().custom_metadata_map
    assert metadata.get("precision", "fp32") == found


@pytest.mark.parametrize(
    ("asked", "found", "why"),
    [("auto", "fp32", WITHOUT), ("int8", "int8", "it was asked for"), ("fp32", "fp32", "asked")],
)
def test_a_cpu_without_instructions_for_it_takes_int8_where_it_is_asked_for_and_sums_exactly(
    good: Path, monkeypatch: pytest.MonkeyPatch, asked: Precision, found: str, why: str
) -> None:
    monkeypatch.setattr(model_module, "dot_product", lambda: None)
    model = Model(ModelFolder.open(good), ON_CPU, 2, asked)
    assert model.precision == found
    assert why in model.why_precision
    for session in (model._session, model._wide_session):
        assert session.get_session_options().get_session_config_entry(EXACT_SUMS[0]) == EXACT_SUMS[1]
    monkeypatch.undo()
    if dot_product() is not None:
        options = Model(ModelFolder.open(good), ON_CPU, 1, asked)._session.get_session_options()
        with pytest.raises(RuntimeError, match="does not have"):
            options.get_session_config_entry(EXACT_SUMS[0])


def test_the_service_says_which_and_why(good: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "log", model=str(good), workers="1") as process:
        said = httpx.get(f"{process.url}/model").json()
        # It runs in processes of its own, on the CPU as it is.
        fast = dot_product() is not None
        assert said["precision"] == ("int8" if fast else "fp32")
        assert ("it is faster" if fast else WITHOUT) in said["precision_reason"]
        assert said["int8"]["rmse_rise"] == MOST_RISE
        assert said["network_sha256"] == sha256_of(good / (INT8_FILE if fast else MODEL_FILE))
        assert httpx.post(f"{process.url}/classify", content=png()).is_success
        assert ("int8: on a CPU it is faster" if fast else f"fp32: {WITHOUT}") in process.log
        assert f", {said['precision']}, from {good}\n" in process.log


def test_the_same_model_may_be_asked_for_in_full(good: Path) -> None:
    with threaded(Settings(model=good, device="cpu", workers=1, precision="fp32", drain_seconds=0)) as one:
        assert httpx.get(f"{one.url}/model").json()["precision"] == "fp32"


def test_int8_of_a_model_that_has_none(model_folder: Path) -> None:
    said = refusal(model=str(model_folder), precision="int8")
    assert f"precision=int8 was asked for, but {model_folder} has no int8 file" in said
    assert "python -m training quantise" in said


def test_a_precision_that_does_not_exist(model_folder: Path) -> None:
    assert "'--precision' (env var: 'GALAXYTREE_PRECISION')" in refusal(model=str(model_folder), precision="int4")


@pytest.mark.parametrize("precision", ["auto", "int8"])
def test_an_int8_file_that_is_damaged_is_refused_with_both_sums(tmp_path: Path, precision: str) -> None:
    if precision == "auto" and dot_product() is None:
        pytest.skip("this CPU has no instructions for int8, so that nobody reads the file")
    folder = write_model(tmp_path / "m", int8_rise=0.0)
    expected = sha256_of(folder / INT8_FILE)
    (folder / INT8_FILE).write_bytes((folder / INT8_FILE).read_bytes()[:-10])
    said = refusal(model=str(folder), precision=precision, workers="1")
    assert expected in said
    assert sha256_of(folder / INT8_FILE) in said
    assert f"{folder / INT8_FILE} is not the file that its card speaks of" in said


def test_an_int8_file_that_is_damaged_is_no_matter_to_who_does_not_use_it(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", int8_rise=0.0)
    (folder / INT8_FILE).unlink()
    assert Model(ModelFolder.open(folder), ON_CPU, 1, "fp32").precision == "fp32"
    with pytest.raises(ModelRefusedError, match=r"model\.int8\.onnx can't be read"):
        Model(ModelFolder.open(folder), ON_CPU, 1, "auto")


def test_on_a_gpu_it_is_fp32_or_refused(good: Path) -> None:
    folder = ModelFolder.open(good)
    assert choose_precision("auto", folder, ON_CUDA) == ("fp32", "int8 is for CPUs")
    assert choose_precision("fp32", folder, ON_CUDA) == ("fp32", "it was asked for")
    with pytest.raises(DeviceRefusedError, match="it is for CPUs: set precision=auto, or device=cpu"):
        choose_precision("int8", folder, ON_CUDA)


def test_all_cores_are_used_where_that_is_faster_only(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = ModelFolder.open(model_folder)
    first = start_of(Settings(model=model_folder, workers=2))
    for faster in (True, False):
        monkeypatch.setattr(Model, "_seconds", lambda _, alone, faster=faster: 1.0 if alone is faster else 2.0)
        assert load_model(folder, ON_CPU, first).wide is faster
        # Who starts beside others doesn't try for itself.
        assert load_model(folder, ON_CPU, replace(first, wide=not faster)).wide is not faster
    assert not load_model(folder, ON_CPU, replace(first, cores=1)).wide
