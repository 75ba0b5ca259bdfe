"""The array file: what is written is read, whole or not at all."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from galaxytree.card import sha256_of
from galaxytree.decision_tree import load_tree
from galaxytree.imaging import Framing
from tests.training.galaxies import ROUND, draw, votes_of, write_galaxies
from training.arrays import ArrayFileError, ArrayWriter, read_galaxies

FRAMING = Framing(size=32, field=0.5)
TREE = load_tree("galaxy-zoo-2")


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "galaxies.h5"
    images = [draw(thin=bool(number), seed=number, size=32) for number in range(3)]
    votes = np.stack([votes_of(*ROUND), np.full(37, np.nan, np.float32), votes_of("Class1.3", "Class6.2")])
    # Room for more than come, as when pictures turn out to be corrupt.
    with ArrayWriter(path, TREE, FRAMING, 7) as writer:
        for number in range(3):
            writer.append(f"größe-{number}", images[number], votes[number], validation=number == 1)
        writer.note({"drawn": 3})
    galaxies = read_galaxies(path)
    assert len(galaxies) == 3
    assert galaxies.names.tolist() == ["größe-0", "größe-1", "größe-2"]
    np.testing.assert_array_equal(galaxies.images[:], np.stack(images))
    np.testing.assert_array_equal(galaxies.votes, votes)
    assert galaxies.votes.dtype == np.float32
    assert galaxies.validation.tolist() == [False, True, False]
    assert galaxies.tree is TREE
    assert galaxies.framing == FRAMING
    assert galaxies.sha256 == sha256_of(path)
    assert galaxies.provenance == {"drawn": 3}
    assert galaxies.where(galaxies.validation).provenance == {"drawn": 3}


def test_a_file_without_a_note_is_read(tmp_path: Path) -> None:
    path = write_galaxies(tmp_path / "g.h5", 4, framing=FRAMING)
    with h5py.File(path, "r+") as file:
        del file.attrs["provenance"]
    assert read_galaxies(path).provenance == {}


def test_images_are_read_when_they_are_asked_for_and_cannot_be_written_to(tmp_path: Path) -> None:
    path = write_galaxies(tmp_path / "g.h5", 4, framing=FRAMING)
    galaxies = read_galaxies(path)
    chosen = galaxies.where(np.array([2, 0]))
    before = galaxies.images[2].copy()
    with h5py.File(path, "r+") as file:
        file["images"][2] = 255 - before
    np.testing.assert_array_equal(chosen.images[0], 255 - before)
    assert chosen.images.nbytes == chosen.images[:].nbytes
    with pytest.raises(ValueError, match="read-only"):
        galaxies.images[0][0] = 0


def test_bounds_and_the_calibration_split_are_kept(tmp_path: Path) -> None:
    path, image = tmp_path / "g.h5", draw(thin=True, seed=1, size=32)
    votes, lower, upper = (np.full(37, value, np.float32) for value in (np.nan, 0.25, 0.75))
    with ArrayWriter(path, TREE, FRAMING, 3) as writer:
        writer.append("bounds", image, votes, validation=False, lower=lower, upper=upper)
        writer.append("votes", image, votes_of(*ROUND), validation=False, calibration=True)
        writer.append("nothing", image, votes, validation=True)
    galaxies = read_galaxies(path)
    assert galaxies.lower.dtype == galaxies.upper.dtype == np.float32
    np.testing.assert_array_equal(galaxies.lower, np.stack([lower, votes_of(*ROUND), np.zeros(37)]))
    np.testing.assert_array_equal(galaxies.upper, np.stack([upper, votes_of(*ROUND), np.ones(37)]))
    assert galaxies.calibration.tolist() == [False, True, False]
    assert galaxies.learning.tolist() == [True, False, False]
    some = galaxies.where(np.array([1]))
    assert some.calibration.tolist() == [True]
    np.testing.assert_array_equal(some.lower, some.votes)
    np.testing.assert_array_equal(some.upper, some.votes)


def test_a_galaxy_is_not_set_aside_for_two_things(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="1 is set aside for validation and can't be for calibration"),
        ArrayWriter(tmp_path / "g.h5", TREE, FRAMING, 1) as writer,
    ):
        writer.append("1", draw(thin=True, seed=1, size=32), votes_of(*ROUND), validation=True, calibration=True)


def test_files_of_the_first_format_are_read(tmp_path: Path) -> None:
    path = write_galaxies(tmp_path / "g.h5", 8, validation=2, framing=FRAMING)
    new = read_galaxies(path)
    with h5py.File(path, "r+") as file:
        assert file.attrs["format"] == 2
        file.attrs["format"] = 1
        for name in ("lower", "upper", "calibration"):
            del file[name]
    old = read_galaxies(path)
    assert np.isnan(old.votes).any()
    for name in ("votes", "lower", "upper", "validation", "calibration"):
        np.testing.assert_array_equal(getattr(old, name), getattr(new, name))
        assert getattr(old, name).dtype == getattr(new, name).dtype
    np.testing.assert_array_equal(old.learning, ~old.validation)
    # One of the second format without them is damaged.
    with h5py.File(path, "r+") as file:
        file.attrs["format"] = 2
    with pytest.raises(ArrayFileError, match="is no array file"):
        read_galaxies(path)


def test_some_galaxies_are_chosen_by_mask_or_position(tmp_path: Path) -> None:
    galaxies = read_galaxies(write_galaxies(tmp_path / "g.h5", 6, validation=2, framing=FRAMING))
    assert galaxies.where(galaxies.validation).names.tolist() == ["made-up-4", "made-up-5"]
    some = galaxies.where(np.array([5, 0]))
    assert some.names.tolist() == ["made-up-5", "made-up-0"]
    np.testing.assert_array_equal(some.images[1], galaxies.images[0])
    np.testing.assert_array_equal(some.votes[0], galaxies.votes[5])
    assert some.validation.tolist() == [True, False]


def test_no_galaxies_are_as_good_as_some(tmp_path: Path) -> None:
    with ArrayWriter(tmp_path / "g.h5", TREE, FRAMING, 5):
        pass
    galaxies = read_galaxies(tmp_path / "g.h5")
    assert len(galaxies) == 0
    assert galaxies.images.shape == (0, 32, 32, 3)
    assert galaxies.votes.shape == (0, 37)


def test_a_failure_leaves_the_old_file_and_no_half_of_a_new_one(tmp_path: Path) -> None:
    path = write_galaxies(tmp_path / "g.h5", 4, framing=FRAMING)
    before = sha256_of(path)

    def fail() -> None:
        with ArrayWriter(path, TREE, FRAMING, 5) as writer:
            writer.append("1", draw(thin=True, seed=1, size=32), votes_of(*ROUND), validation=False)
            msg = "the power is gone"
            raise OSError(msg)

    with pytest.raises(OSError, match="the power is gone"):
        fail()
    assert [each.name for each in tmp_path.iterdir()] == ["g.h5"]
    assert sha256_of(path) == before


def test_a_missing_file_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ArrayFileError, match=r"there is no .*none\.h5; .* python -m training prepare"):
        read_galaxies(tmp_path / "none.h5")


def test_files_of_other_kinds_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other"
    for content in (b"", b"text\n", b"\x89HDF\r\n\x1a\n" + bytes(100)):
        path.write_bytes(content)
        with pytest.raises(ArrayFileError, match="is no array file"):
            read_galaxies(path)
    for parts in ({"images": np.zeros((2, 3))}, {"names": np.zeros(2), "votes": np.zeros(2)}):
        with h5py.File(path, "w") as file:
            for name, values in parts.items():
                file[name] = values
        with pytest.raises(ArrayFileError, match="is no array file"):
            read_galaxies(path)


@pytest.mark.parametrize("length", [100, 3000, 9000])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, length: int) -> None:
    path = write_galaxies(tmp_path / "g.h5", 4, framing=FRAMING)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ArrayFileError, match="is no array file"):
        read_galaxies(path)


@pytest.mark.parametrize(
    ("attribute", "value", "complaint"),
    [
        ("columns", json.dumps(["Class1.1"]), "holds other columns than the tree galaxy-zoo-2 has; prepare it again"),
        ("tree", "candels", "holds other columns than the tree candels has; prepare it again"),
        ("tree", "galaxy-zoo-9", "galaxy-zoo-9"),
        ("framing", '{"size": -1}', "is no array file"),
        ("columns", "[", "is no array file"),
        ("provenance", "[1]", "is no array file"),
    ],
)
def test_files_of_another_tree_or_framing_are_refused(
    tmp_path: Path, attribute: str, value: str, complaint: str
) -> None:
    path = write_galaxies(tmp_path / "g.h5", 4, framing=FRAMING)
    with h5py.File(path, "r+") as file:
        file.attrs[attribute] = value
    with pytest.raises(ArrayFileError, match=complaint):
        read_galaxies(path)
