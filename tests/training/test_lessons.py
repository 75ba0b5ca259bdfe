"""Lessons: votes where there are any, a teacher where there are none, bounds where there is neither."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from galaxytree.card import sha256_of
from galaxytree.imaging import Framing
from tests.training.conftest import TINY, Run, training
from tests.training.galaxies import ROUND, THIN, TREE, draw, votes_of
from training.arrays import ArrayWriter, Galaxies, read_galaxies
from training.curriculum import curriculum
from training.lessons import TargetsError, Taught, lessons_of, read_targets, write_targets
from training.losses import beyond_bounds, squared_error
from training.predict import orientations, predict
from training.runs import read_record
from training.settings import TrainSettings
from training.splits import in_fold, part_of
from training.trained import trained

FRAMING = Framing(size=40, field=1)
NONE = np.full(37, np.nan, np.float32)


def write_mixed(path: Path) -> Path:
    """Write 24 galaxies with all votes, 12 of which only a bound is known, 6 without anything, 6 for validation."""
    with ArrayWriter(path, TREE, FRAMING, 48) as writer:
        for number in range(48):
            thin = bool(number % 2)
            votes = votes_of(*(("Class1.2", "Class2.1", "Class9.1") if thin else ("Class1.1", "Class7.1")), "Class6.2")
            lower, upper = np.zeros(37, np.float32), np.ones(37, np.float32)
            if 24 <= number < 36:
                lower[TREE.index["Class1.2" if thin else "Class1.1"]] = 0.6
            writer.append(
                f"m-{number}",
                draw(thin=thin, seed=number, size=40),
                NONE if 24 <= number < 42 else votes,
                validation=number >= 42,
                **({"lower": lower, "upper": upper} if 24 <= number < 42 else {}),
            )
    return path


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mixed(tmp_path_factory.mktemp("mixed") / "galaxies.h5")


SMALL = (*TINY, "--crop=40", "--epochs=1")


def learnt_from(folder: Path) -> int:
    count: int = read_record(folder)["data"]["training"]
    return count


def test_weights_say_how_much_an_error_counts() -> None:
    scores, votes = torch.tensor([[0.5, 0.5]]), torch.tensor([[0.0, 1.0]])
    votes[0, 1] = 0.5
    assert squared_error(scores, votes, torch.tensor([[3.0, 1.0]])).item() == pytest.approx(0.75 * 0.25)


def test_a_score_is_pulled_to_its_bounds_and_no_further() -> None:
    scores = torch.tensor([[0.2, 0.5, 0.9, 0.0]], requires_grad=True)
    unknown = torch.tensor([[True, True, True, False]])
    loss = beyond_bounds(scores, torch.tensor([[0.5, 0.1, 0.0, 1.0]]), torch.tensor([[1.0, 0.6, 0.6, 1.0]]), unknown)
    assert loss.item() == pytest.approx((0.09 + 0 + 0.09) / 3)
    loss.backward()  # type: ignore[no-untyped-call]
    assert scores.grad is not None
    assert [np.sign(value) for value in scores.grad[0].tolist()] == [-1, 0, 1, 0]


def test_a_teacher_speaks_only_where_volunteers_are_silent(mixed: Path) -> None:
    galaxies = read_galaxies(mixed)
    targets = np.full((48, 37), 0.25, np.float32)
    lessons = lessons_of(galaxies, targets, 0.5, np.arange(48.0))
    known = ~np.isnan(galaxies.votes)
    np.testing.assert_array_equal(lessons.votes.numpy()[known], galaxies.votes[known])
    assert (lessons.votes.numpy()[~known] == 0.25).all()
    assert not lessons.unknown.any()
    assert lessons.weights[2].unique().tolist() == [2.0]
    assert lessons.weights[30].unique().tolist() == [15.0]


def taught(galaxies: Galaxies, **changes: Any) -> Taught:  # noqa: ANN401
    return replace(Taught(galaxies.sha256, None, ("a",)), **changes)


def test_targets_are_found_by_name(mixed: Path, tmp_path: Path) -> None:
    galaxies = read_galaxies(mixed)
    path, scores = tmp_path / "targets.h5", np.arange(74, dtype=np.float32).reshape(2, 37)
    write_targets(path, galaxies.where(np.array([3, 1])), scores, taught(galaxies))
    targets, teachers = read_targets(path, galaxies)
    assert targets[3, 0] == 0
    assert targets[1, 0] == 37
    assert np.isnan(targets[[0, 2, *range(4, 48)]]).all()
    assert teachers == ("a",)


def test_a_file_without_targets_is_a_sentence(mixed: Path, tmp_path: Path) -> None:
    galaxies = read_galaxies(mixed)
    with pytest.raises(TargetsError, match="make it with: python -m training teach"):
        read_targets(tmp_path / "none.h5", galaxies)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["names"] = [1]
    with pytest.raises(TargetsError, match="holds no teacher's scores"):
        read_targets(tmp_path / "other.h5", galaxies)
    write_targets(tmp_path / "short.h5", galaxies, np.zeros((3, 37), np.float32), taught(galaxies))
    with pytest.raises(TargetsError, match="is damaged"):
        read_targets(tmp_path / "short.h5", galaxies)


def test_targets_of_other_galaxies_or_another_fold_are_refused(mixed: Path, tmp_path: Path) -> None:
    galaxies, scores = read_galaxies(mixed), np.zeros((48, 37), np.float32)
    # Kaggle's set and the public release number different galaxies alike.
    write_targets(tmp_path / "other.h5", galaxies, scores, taught(galaxies, data_sha256="0" * 64))
    with pytest.raises(TargetsError, match="of another array file"):
        read_targets(tmp_path / "other.h5", galaxies)
    write_targets(tmp_path / "fold.h5", galaxies, scores, taught(galaxies, fold=(5, 1)))
    with pytest.raises(TargetsError, match="did not hold out the same galaxies"):
        read_targets(tmp_path / "fold.h5", galaxies, (5, 2))
    with pytest.raises(TargetsError, match="did not hold out the same galaxies"):
        read_targets(tmp_path / "fold.h5", galaxies)
    assert read_targets(tmp_path / "fold.h5", galaxies, (5, 1))[0].shape == (48, 37)


def test_whom_to_learn_from_is_a_setting(mixed: Path, tmp_path: Path) -> None:
    for name, options, count in (("votes", [], 24), ("bounds", ["--bounds=1"], 36)):
        result = training("train", "--data", mixed, "--run", tmp_path / name, *SMALL, *options)
        assert result.exit_code == 0, result.output
        assert learnt_from(tmp_path / name) == count

    # One network teaches another what nobody knows of the other 18.
    targets = tmp_path / "targets.h5"
    result = training("teach", tmp_path / "votes", tmp_path / "bounds", "--data", mixed, "--output", targets)
    assert result.exit_code == 0, result.output
    assert "18 galaxies" in result.output
    galaxies = read_galaxies(mixed)
    told, teachers = read_targets(targets, galaxies)
    said = ~np.isnan(told).any(axis=1)
    assert said.tolist() == [24 <= number < 42 for number in range(48)]
    TREE.check(told[said], tolerance=1e-5)
    assert (told[said] >= galaxies.lower[said] - 1e-5).all(), "a teacher yields to what is known"

    weights = [sha256_of(tmp_path / name / "weights.pt") for name in ("votes", "bounds")]
    assert list(teachers) == weights

    words = ["train", "--data", mixed, "--run", tmp_path / "student", *SMALL, "--targets"]
    student = training(*words, targets)
    assert student.exit_code == 0, student.output
    assert learnt_from(tmp_path / "student") == 42
    assert read_record(tmp_path / "student")["made_from"] == {"targets": sha256_of(targets), "teachers": weights}

    # The same scores may lie elsewhere when the run is taken up; others may not lie in their place.
    moved = targets.rename(tmp_path / "moved.h5")
    assert training(*words, moved).exit_code == 0
    teach = training("teach", tmp_path / "votes", "--data", mixed, "--output", targets, "--one-view")
    assert teach.exit_code == 0, teach.output
    refused = training(*words, targets)
    assert refused.exit_code == 2
    assert "was started with other targets, teachers" in " ".join(refused.stderr.split())


def test_a_teacher_is_the_mean_of_its_networks_and_views(mixed: Path, run: Run, tmp_path: Path) -> None:
    galaxies = read_galaxies(mixed)
    assert training("train", "--data", mixed, "--run", tmp_path / "one", *SMALL).exit_code == 0
    options = ["--data", mixed, "--output", tmp_path / "t.h5", "--no-agreeing"]
    assert training("teach", tmp_path / "one", *options).exit_code == 0
    model = trained(tmp_path / "one", TREE)[0]
    wanted = predict(model, galaxies.images[30:31], torch.device("cpu"), 8)
    np.testing.assert_allclose(read_targets(tmp_path / "t.h5", galaxies)[0][30:31], wanted, atol=1e-6)
    assert training("teach", tmp_path / "one", *options, "--one-view").exit_code == 0
    wanted = predict(model, galaxies.images[30:31], torch.device("cpu"), 1)
    np.testing.assert_allclose(read_targets(tmp_path / "t.h5", galaxies)[0][30:31], wanted, atol=1e-6)
    refused = training("teach", run.folder, "--data", mixed, "--output", tmp_path / "t.h5")
    assert refused.exit_code == 2
    assert "is not the file that" in refused.stderr
    refused = training("teach", tmp_path / "one", "--data", mixed, "--output", tmp_path)
    assert refused.exit_code == 2
    assert "is a folder; name a file" in " ".join(refused.stderr.split())
    (tmp_path / "file").write_bytes(b"")
    refused = training("teach", tmp_path / "one", "--data", mixed, "--output", tmp_path / "file" / "t.h5")
    assert refused.exit_code == 2
    assert "can't be written" in " ".join(refused.stderr.split())


def test_eight_views_do_not_care_how_a_picture_lies(run: Run) -> None:
    model = trained(run.folder, TREE)[0]
    # Training for an instant may end in an answer that is the same for all pictures, in which views could not be seen.
    torch.manual_seed(0)
    torch.nn.init.normal_(model.classifier.classifier.weight)
    image = draw(thin=True, seed=5)[None]
    one, eight = (predict(model, image, torch.device("cpu"), views) for views in (1, 8))  # type: ignore[arg-type]
    assert np.abs(one - eight).max() > 1e-5
    for other in orientations(image, 8):
        np.testing.assert_allclose(predict(model, other, torch.device("cpu"), 8), eight, rtol=0, atol=1e-6)
    assert len({other.tobytes() for other in orientations(image, 8)}) == 8


def test_a_run_may_start_from_another(mixed: Path, run: Run, tmp_path: Path) -> None:
    first = tmp_path / "first"
    assert training("train", "--data", mixed, "--run", first, *SMALL).exit_code == 0
    # With steps as small as these, the second run ends where the first one did.
    options = ["--initial", first, "--learning-rate=1e-9", "--ema-decay=0"]
    assert training("train", "--data", mixed, "--run", tmp_path / "second", *SMALL, *options).exit_code == 0
    one, two = (trained(tmp_path / name, TREE)[0].classifier.classifier.weight for name in ("first", "second"))
    torch.testing.assert_close(one, two, rtol=0, atol=1e-5)
    # Nor from one that may have seen what is to be measured or calibrated on.
    for options, complaint in (
        (["--data", mixed, "--output=sigmoid"], "is a run of another network or output"),
        (["--data", mixed, "--folds=3"], "did not hold out the same galaxies"),
        (["--data", run.data], "was trained on other data, and may have seen"),
    ):
        refused = training("train", "--run", tmp_path / "third", *SMALL, "--initial", first, *options)
        assert refused.exit_code == 2
        assert complaint in " ".join(refused.stderr.split())
    options = ["--initial", tmp_path / "nowhere"]
    assert training("train", "--data", mixed, "--run", tmp_path / "third", *SMALL, *options).exit_code == 2


def test_so_many_views_are_seen_and_no_more(mixed: Path, tmp_path: Path) -> None:
    options = ["--views-seen=40", "--batch-size=8"]
    assert training("train", "--data", mixed, "--run", tmp_path, *SMALL, *options).exit_code == 0
    record = read_record(tmp_path)
    assert [epoch["epoch"] for epoch in record["epochs"]] == [1, 2], "three batches, then two of the next epoch"
    assert "validation_rmse" in record["epochs"][-1]
    assert training("train", "--data", mixed, "--run", tmp_path, *SMALL, *options).exit_code == 0
    assert read_record(tmp_path) == record
    refused = training("train", "--data", mixed, "--run", tmp_path / "few", *SMALL, "--views-seen=7")
    assert refused.exit_code == 2
    assert "7 views do not fill a batch of 8" in " ".join(refused.stderr.split())


def test_folds_are_disjoint_and_hold_out_whom_they_measure_on(mixed: Path, tmp_path: Path) -> None:
    galaxies = read_galaxies(mixed)
    folds = [in_fold(galaxies, 3, fold) for fold in range(3)]
    complete = galaxies.learning & ~np.isnan(galaxies.votes).any(axis=1)
    np.testing.assert_array_equal(np.sum(folds, axis=0), complete)
    assert all(fold.any() for fold in folds)
    assert 0 <= part_of("a") < 1
    options = ["--folds=3", "--fold=1"]
    assert training("train", "--data", mixed, "--run", tmp_path, *SMALL, *options).exit_code == 0
    assert read_record(tmp_path)["data"]["training"] == 24 - folds[1].sum()
    assert read_record(tmp_path)["data"]["validation"] == folds[1].sum()
    refused = training("train", "--data", mixed, "--run", tmp_path / "x", *SMALL, "--folds=3", "--fold=3")
    assert refused.exit_code == 2
    assert "no fold 3 of 3" in refused.stderr


def test_teachers_hold_out_the_same(mixed: Path, tmp_path: Path) -> None:
    for name, options in (("whole", []), ("fold", ["--folds=3"])):
        assert training("train", "--data", mixed, "--run", tmp_path / name, *SMALL, *options).exit_code == 0
    words = ["--data", mixed, "--output", tmp_path / "t.h5", "--one-view"]
    refused = training("teach", tmp_path / "whole", tmp_path / "fold", *words)
    assert refused.exit_code == 2
    assert "did not hold out the same galaxies" in " ".join(refused.stderr.split())
    assert training("teach", tmp_path / "fold", *words).exit_code == 0
    student = ["train", "--data", mixed, "--run", tmp_path / "student", *SMALL, "--targets", tmp_path / "t.h5"]
    assert training(*student).exit_code == 2, "the validation split is not what these teachers held out"
    assert training(*student, "--folds=3").exit_code == 0


def population_table(path: Path, means: np.ndarray) -> Path:
    lines = [f"{name},{mean:.6f},0.1,0.5" for name, mean in zip(TREE.columns, means, strict=True)]
    path.write_text("\n".join(["column,population_mean,population_std,sample_mean", *lines]))
    return path


def test_galaxies_with_all_votes_are_weighted_to_the_population(mixed: Path, tmp_path: Path) -> None:
    means = 0.3 * votes_of(*THIN) + 0.7 * votes_of(*ROUND)
    settings = TrainSettings(population=population_table(tmp_path / "p.csv", means), bounds=1.0)
    plan = curriculum(read_galaxies(mixed), settings)
    weights = plan.lessons.weights[:, 0].numpy()
    complete = ~np.isnan(plan.learning.votes).any(axis=1)
    np.testing.assert_allclose(np.average(plan.learning.votes[complete], 0, weights[complete]), means, atol=1e-3)
    assert (weights[~complete] == 1).all()
    assert (~complete).sum() == 12
    assert plan.made_from == {"population": sha256_of(tmp_path / "p.csv")}


@pytest.mark.parametrize("name", ["p.csv", "p.zip", "p.csv.gz"])
def test_a_table_that_is_none_is_a_sentence(mixed: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"column\nClass1.1\n")
    refused = training("train", "--data", mixed, "--run", tmp_path / "run", *SMALL, "--population", tmp_path / name)
    assert refused.exit_code == 2
    assert "gives no means of a population" in " ".join(refused.stderr.split())
