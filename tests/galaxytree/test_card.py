"""The model card: what training writes is what the service reads."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from galaxytree.card import CARD_FILE, ModelCard, sha256_of
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


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    card = ModelCard.model_validate(FIELDS)
    card.write(tmp_path)
    assert ModelCard.read(tmp_path) == card
    assert json.loads((tmp_path / CARD_FILE).read_text("utf-8")) == FIELDS


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
