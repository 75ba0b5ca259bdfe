"""The model card: what training writes is what the service reads."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from galaxytree.card import CARD_FILE, MOST_RISE, Int8, ModelCard, sha256_of
from galaxytree.decision_tree import load_tree
from galaxytree.imaging import GALAXY_ZOO_FRAMING

FIELDS: dict[str, Any] = {
    "name": "made-up",
    "version": "2026.11.1",
    "sha256": "0123456789abcdef" * 4,
    "tree": "galaxy-zoo-2",
    "columns": list(load_tree("galaxy-zoo-2").columns),
    "framing": GALAXY_ZOO_FRAMING.model_dump(),
    "network": {"architecture": "none", "parameters": 12},
    "provenance": {"votes": "Galaxy Zoo 2 - größte Sorgfalt"},
    "metrics": {"rmse": 0.0841, "agreement": {"Q1": {"part": 0.9}}},
    "citations": ["Willett et al. 2013"],
    "licence": "MIT",
    "limits": "none known",
}


INT8: dict[str, Any] = {
    "sha256": "fedcba9876543210" * 4,
    "rmse_rise": 0.0001,
    "metrics": {"rmse": 0.0842},
    "provenance": {"calibrated_on": 512},
}


@pytest.mark.parametrize("int8", [None, INT8])
def test_what_is_written_is_read_again(tmp_path: Path, int8: dict[str, Any] | None) -> None:
    card = ModelCard.model_validate(FIELDS | {"int8": int8})
    card.write(tmp_path)
    assert ModelCard.read(tmp_path) == card
    assert json.loads((tmp_path / CARD_FILE).read_text("utf-8")) == FIELDS | {"int8": int8}


def test_a_card_from_before_there_were_int8_files_is_read() -> None:
    assert ModelCard.model_validate(FIELDS).int8 is None


@pytest.mark.parametrize(
    ("rise", "by_default"), [(None, False), (-0.001, True), (MOST_RISE, True), (MOST_RISE + 1e-6, False)]
)
def test_an_int8_file_is_used_by_default_if_it_is_known_to_cost_little(rise: float | None, *, by_default: bool) -> None:
    assert Int8.model_validate(INT8 | {"rmse_rise": rise}).by_default is by_default


@pytest.mark.parametrize("missing", [name for name in FIELDS if name != "rmse"])
def test_a_card_without_a_field_is_refused_by_its_name(missing: str) -> None:
    with pytest.raises(ValidationError, match=missing):
        ModelCard.model_validate({name: value for name, value in FIELDS.items() if name != missing})


@pytest.mark.parametrize(
    "wrong",
    [
        {"sha256": "0" * 63},
        {"sha256": "G" * 64},
        {"name": ""},
        {"framing": {"size": 0, "field": 1}},
        {"colour": "blue"},
        {"int8": INT8 | {"sha256": "none"}},
        {"int8": INT8 | {"rmse_rise": float("nan")}},
        {"int8": {"sha256": INT8["sha256"]}},
    ],
)
def test_a_card_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        ModelCard.model_validate(FIELDS | wrong)


def test_a_folder_without_a_card_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ModelCard.read(tmp_path)


def test_a_card_that_is_no_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / CARD_FILE).write_text('{"name": "made-', "utf-8")
    with pytest.raises(ValidationError, match="Invalid JSON"):
        ModelCard.read(tmp_path)


@pytest.mark.parametrize("data", [b"", b"abc", bytes(range(256)) * 5000])
def test_sha256_is_that_of_the_bytes(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "file").write_bytes(data)
    assert sha256_of(tmp_path / "file") == hashlib.sha256(data).hexdigest()
