"""Experiments: each row is trained, measured and shown, once; what it needs comes first."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from galaxytree.card import sha256_of
from tests.training.galaxies import write_galaxies
from training.arrays import read_galaxies
from training.average import average
from training.describe import provenance_of
from training.experiment import perform
from training.experiment.cli import experiment_command
from training.metrics import rmse
from training.predict import predict
from training.runs import RunError
from training.splits import in_fold
from training.trained import trained

CPU = torch.device("cpu")

FILE = """
[groups.tiny]
title = "Tiny"
text = "Three steps of 8."

[groups.tiny.train]
resolution = 32
batch_size = 8
views_seen = 24
learning_rate = 0.01
precision = "float32"

[rows.base]
group = "tiny"
about = "the plain one"
seeds = [1, 2]

[rows.student]
group = "tiny"
about = "learns from the plain one"
teachers = ["base"]
teach = { one_view = true }

[rows.both]
group = "tiny"
about = "mean of the plain ones"
ensemble = ["base"]

[rows.further]
group = "tiny"
about = "goes on from the plain one"
initial = "base"
train = { views_seen = 8 }

[rows.middle]
group = "tiny"
about = "mean of the weights of what went on from the plain one"
average = ["base", "further"]

[rows.all]
group = "tiny"
about = "mean of the scores of these"
ensemble = ["middle", "further"]

[rows.folded]
group = "tiny"
about = "cross-validated"
cross_validate = true
train = { folds = 2, epochs = 1, views_seen = 0 }
"""


@dataclass(frozen=True)
class Place:
    """A folder with a file of experiments, and all that is made of it."""

    folder: Path
    data: Path

    @property
    def file(self) -> Path:
        return self.folder / "experiments.toml"

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    @property
    def page(self) -> str:
        return (self.folder / "page.md").read_text("utf-8")

    def experiment(self, *words: str) -> Result:
        """Run ``python -m training experiment`` in this process."""
        options = {
            "data": self.data,
            "file": self.file,
            "runs": self.runs,
            "results": self.folder / "results",
            "table": self.folder / "page.md",
            "threads": 1,
            "device": "cpu",
        }
        given = [f"--{name}={value}" for name, value in options.items()]
        threads = torch.get_num_threads()
        try:
            return CliRunner().invoke(experiment_command, [*given, *words], catch_exceptions=False)
        finally:
            torch.set_num_threads(threads)

    def result(self, row: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "results" / f"{row}.json").read_text("utf-8"))
        return found

    def line(self, row: str) -> list[str]:
        """Return the cells of a row of the table."""
        (line,) = [each for each in self.page.splitlines() if each.startswith(f"| `{row}`")]
        return [cell.strip() for cell in line.strip("|").split("|")]

    def change(self, old: str, new: str) -> None:
        text = self.file.read_text("utf-8")
        assert text.count(old) == 1
        self.file.write_text(text.replace(old, new), "utf-8")

    def times(self) -> dict[Path, int]:
        """Return when each file of a run was last written."""
        return {path: path.stat().st_mtime_ns for path in self.runs.rglob("*") if path.is_file()}


def words_of(result: Result) -> str:
    """Return what was complained of, on one line."""
    return " ".join(result.stderr.replace("│", " ").split())


@pytest.fixture(scope="session")
def performed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Perform rows that need another one, which is not asked for itself."""
    place = Place(tmp_path_factory.mktemp("experiment"), data)
    place.file.write_text(FILE, "utf-8")
    result = place.experiment("student", "both", "further", "all")
    assert result.exit_code == 0, result.output
    return place


@pytest.fixture
def copied(performed: Place, tmp_path: Path) -> Iterator[Place]:
    """Copy all of it, to be changed by one test."""
    shutil.copytree(performed.folder, tmp_path / "copy")
    # The students' records hold the path of what they were taught.
    folder = tmp_path / "copy"
    for record in (folder / "runs").rglob("run.json"):
        record.write_text(record.read_text("utf-8").replace(str(performed.folder), str(folder)), "utf-8")
    yield Place(folder, performed.data)
    shutil.rmtree(folder)


@pytest.fixture
def fresh(data: Path, tmp_path: Path) -> Place:
    """Nothing but the file."""
    place = Place(tmp_path, data)
    place.file.write_text(FILE, "utf-8")
    return place


def scores_of(place: Place, labels: list[str], views: Any = 1) -> list[Any]:  # noqa: ANN401  (1 or 8)
    galaxies = read_galaxies(place.data)
    unseen = galaxies.where(galaxies.validation)
    return [predict(trained(place.runs / each, galaxies.tree)[0], unseen.images, CPU, views) for each in labels]


@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_kept_of_a_run_is_what_the_run_is(performed: Place, seed: int) -> None:
    run = performed.runs / "base" / f"seed-{seed}"
    record = json.loads((run / "run.json").read_text("utf-8"))
    galaxies = read_galaxies(performed.data)
    kept = performed.result("base")["runs"][seed - 1]
    assert record["settings"]["seed"] == kept["seed"] == seed
    votes = galaxies.votes[galaxies.validation]
    for name, views in (("one_view", 1), ("eight_views", 8)):
        (scores,) = scores_of(performed, [f"base/seed-{seed}"], views)
        assert kept[f"rmse_{name}"] == pytest.approx(rmse(scores, votes), abs=2e-6)
    assert kept["rmse_one_view"] != kept["rmse_eight_views"]
    assert kept["measured"] == 16
    assert kept["galaxies"] == 64
    assert kept["views_seen"] == 24
    assert kept["training_rmse"] == pytest.approx(record["epochs"][-1]["training_rmse"], abs=1e-6)
    seconds = record["epochs"][-1]["seconds"]
    assert kept["minutes"] == pytest.approx(seconds / 60, abs=0.006)
    assert kept["images_per_second"] == pytest.approx(24 / seconds, abs=0.06)
    assert kept["parameters"] == sum(each.numel() for each in trained(run, galaxies.tree)[0].parameters())
    # Lite0 has some 400 million at 224 px; at 32 px so many times less as there are fewer pixels.
    assert kept["multiply_adds"] == pytest.approx(390e6 / 49, rel=0.1)
    assert (kept["commit"], kept["machine"]) == (record["commit"], record["machine"])
    assert kept["data"] == galaxies.sha256
    assert kept["weights"] == {f"base/seed-{seed}": sha256_of(run / "weights.pt")}
    assert kept["made_from"] == {}
    assert performed.result("base")["settings"]["train"]["views_seen"] == 24


def test_teachers_come_first_and_their_scores_are_learnt(performed: Place) -> None:
    galaxies = read_galaxies(performed.data)
    unknown = galaxies.learning & np.isnan(galaxies.votes).any(axis=1)
    with h5py.File(performed.runs / "student" / "targets.h5") as file:
        assert list(file["names"].asstr()[:]) == list(galaxies.names[unknown])
    record = json.loads((performed.runs / "student" / "seed-1" / "run.json").read_text("utf-8"))
    assert record["settings"]["targets"] == str(performed.runs / "student" / "targets.h5")
    (kept,) = performed.result("student")["runs"]
    assert set(kept["made_from"]) == {"base/seed-1", "base/seed-2"}
    noted = json.loads((performed.runs / "student" / "made_from.json").read_text("utf-8"))
    assert noted["weights"] == kept["made_from"]
    assert noted["teach"] == {"agreeing": True, "one_view": True}


def test_a_row_can_start_from_another_one(performed: Place) -> None:
    record = json.loads((performed.runs / "further" / "seed-1" / "run.json").read_text("utf-8"))
    assert record["settings"]["initial"] == str(performed.runs / "base" / "seed-1")
    assert set(performed.result("further")["runs"][0]["made_from"]) == {"base/seed-1"}


def test_an_ensemble_is_the_mean_of_its_members(performed: Place) -> None:
    galaxies = read_galaxies(performed.data)
    votes = galaxies.votes[galaxies.validation]
    (kept,) = performed.result("both")["runs"]
    members = performed.result("base")["runs"]
    for name, views in (("one_view", 1), ("eight_views", 8)):
        one, other = scores_of(performed, ["base/seed-1", "base/seed-2"], views)
        assert kept[f"rmse_{name}"] == pytest.approx(rmse((one + other) / 2, votes), abs=2e-6)
    for figure in ("parameters", "multiply_adds"):
        assert kept[figure] == sum(each[figure] for each in members)
    assert kept["minutes"] == pytest.approx(sum(each["minutes"] for each in members), abs=0.02)
    assert kept["seed"] is None
    assert not (performed.runs / "both").exists()


def test_an_average_is_one_network_with_the_mean_of_the_weights(performed: Place) -> None:
    galaxies = read_galaxies(performed.data)
    runs = [performed.runs / run for run in ("base/seed-1", "base/seed-2", "further/seed-1")]
    states = [trained(run, galaxies.tree)[0].classifier.state_dict() for run in runs]
    model, record = trained(performed.runs / "middle" / "seed-1", galaxies.tree)
    for name, tensor in model.classifier.state_dict().items():
        mean = torch.stack([state[name].double() for state in states]).mean(dim=0)
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor.double(), mean, rtol=1e-6, atol=1e-6)
    (kept,) = performed.result("middle")["runs"]
    votes = galaxies.votes[galaxies.validation]
    assert kept["rmse_one_view"] == pytest.approx(rmse(scores_of(performed, ["middle/seed-1"], 1)[0], votes), abs=2e-6)
    assert kept["made_from"] == {str(run.relative_to(performed.runs)): sha256_of(run / "weights.pt") for run in runs}
    assert kept["weights"] == {"middle/seed-1": sha256_of(performed.runs / "middle" / "seed-1" / "weights.pt")}
    assert kept["parameters"] == performed.result("base")["runs"][0]["parameters"]
    minutes = [each["minutes"] for row in ("base", "further") for each in performed.result(row)["runs"]]
    assert kept["minutes"] == pytest.approx(sum(minutes), abs=0.02)
    assert [each["settings"]["views_seen"] for each in record["averaged"]] == [24, 24, 8]
    assert "views_seen" not in record["settings"]
    assert performed.line("middle")[6] == ""
    # One network of an ensemble is not more than that.
    (with_it,) = performed.result("all")["runs"]
    assert with_it["parameters"] == 2 * kept["parameters"]
    (further,) = performed.result("further")["runs"]
    assert with_it["minutes"] == pytest.approx(kept["minutes"] + further["minutes"], abs=0.02)


def test_an_average_says_what_it_was_made_of(performed: Place) -> None:
    galaxies = read_galaxies(performed.data)
    provenance = provenance_of(trained(performed.runs / "middle" / "seed-1", galaxies.tree)[1], galaxies)
    assert provenance["checkpoint"].startswith("the mean of the weights of 3 runs")
    assert [each["settings"].get("views_seen") for each in provenance["averaged"]] == [24, 24, 8]
    assert provenance["initial_weights"].endswith("then those of an earlier run on the same galaxies")
    assert provenance["settings"]["network"] == "efficientnet-lite0"
    assert [each["data"]["training"] for each in provenance["averaged"]] == [provenance["galaxies"]["training"]] * 3
    # Nothing of where it lay.
    assert str(performed.folder) not in json.dumps(provenance)


def test_an_average_follows_its_members_and_replaces_nothing_that_was_trained(copied: Place) -> None:
    weights = copied.runs / "further" / "seed-1" / "weights.pt"
    state = torch.load(weights, weights_only=True)
    state["average"]["classifier.bias"] += 1
    torch.save(state, weights)
    before = copied.result("middle")["runs"][0]
    assert copied.experiment("middle").exit_code == 0
    after = copied.result("middle")["runs"][0]
    assert after["made_from"]["further/seed-1"] == sha256_of(weights)
    assert after["weights"] != before["weights"]

    shutil.rmtree(copied.runs / "middle" / "seed-1")
    shutil.copytree(copied.runs / "base" / "seed-1", copied.runs / "middle" / "seed-1")
    refused = copied.experiment("middle")
    assert refused.exit_code == 2
    assert "holds a run that was trained" in words_of(refused)


def test_only_weights_of_like_networks_on_like_galaxies_are_averaged(performed: Place, tmp_path: Path) -> None:
    galaxies = read_galaxies(performed.data)
    base = performed.runs / "base" / "seed-1"
    for key, value, complaint in (
        ("crop", 100, "have no mean, since they differ in crop"),
        ("folds", 2, "held out other galaxies"),
    ):
        other = tmp_path / key
        shutil.copytree(base, other)
        record = json.loads((other / "run.json").read_text("utf-8"))
        record["settings"][key] = value
        (other / "run.json").write_text(json.dumps(record), "utf-8")
        with pytest.raises(RunError, match=complaint):
            average([base, other], tmp_path / "mean", galaxies, performed.data)
    assert not (tmp_path / "mean").exists()


def test_the_table_shows_what_was_measured(performed: Place) -> None:
    one, two = (each["rmse_one_view"] for each in performed.result("base")["runs"])
    line = performed.line("base")
    assert line[0] == "`base`: the plain one"
    assert line[1] == f"{(one + two) / 2:.4f} ± {abs(one - two) / 2**0.5:.4f} (2 seeds)"
    assert line[3] == f"{performed.result('base')['runs'][0]['parameters'] / 1e6:.2f}"
    assert line[-1] == "`python -m training experiment base`"
    (both,) = performed.result("both")["runs"]
    assert performed.line("both")[1:3] == [f"{both['rmse_one_view']:.4f}", f"{both['rmse_eight_views']:.4f}"]
    assert performed.line("both")[6] == ""
    assert performed.line("folded")[1:7] == [""] * 6
    assert "†" not in performed.page
    assert "Three steps of 8." in performed.page


def test_what_is_there_is_neither_trained_nor_measured_again(copied: Place) -> None:
    times, page = copied.times(), copied.page
    results = {path: path.stat().st_mtime_ns for path in (copied.folder / "results").iterdir()}
    done = copied.experiment("student", "both", "further", "all", "base")
    assert done.exit_code == 0
    assert copied.times() == times
    assert {path: path.stat().st_mtime_ns for path in results} == results
    assert copied.page == page
    assert done.stdout.count("RMSE") == 7


def test_how_far_rows_are_is_listed(copied: Place) -> None:
    result = copied.result("base")
    (copied.folder / "results" / "base.json").write_text(json.dumps(result | {"runs": result["runs"][:1]}), "utf-8")
    listed = copied.experiment("--list").stdout.splitlines()
    assert "base: 1 of 2 runs" in listed
    assert "further: done" in listed
    assert "folded: 0 of 1 runs" in listed
    # Of what the others were made from, one is not there to be compared with.
    stale = [each.partition(":")[0] for each in copied.experiment("--stale").stdout.splitlines()]
    assert stale == ["student", "both", "middle", "all"]


def test_changed_settings_show_and_nothing_is_overwritten(copied: Place) -> None:
    assert copied.experiment("--stale").stdout == ""
    copied.change("learning_rate = 0.01", "learning_rate = 0.02")
    assert "base: learning_rate was 0.01, now 0.02\n" in copied.experiment("--stale").stdout
    assert "both: base changed\n" in copied.experiment("--stale").stdout
    assert copied.experiment("--write-table").exit_code == 0
    assert copied.line("base")[0].startswith("`base` †")
    assert copied.line("both")[0].startswith("`both` †")
    assert copied.page.count("--stale") == 1
    times = copied.times()
    refused = copied.experiment("base")
    assert refused.exit_code == 2
    assert "learning_rate was 0.01, now 0.02" in words_of(refused)
    assert f"{copied.runs / 'base' / 'seed-1'}" in words_of(refused)
    assert copied.times() == times

    # As the sentence says.
    shutil.rmtree(copied.runs / "base")
    assert copied.experiment("base", "both").exit_code == 0
    assert "†" not in copied.line("base")[0] + copied.line("both")[0]
    assert [each["seed"] for each in copied.result("base")["runs"]] == [1, 2]
    # The student was made from networks that are no more.
    assert "†" in copied.line("student")[0]
    refused = copied.experiment("student")
    assert refused.exit_code == 2
    assert "holds runs that were made from others" in words_of(refused)
    shutil.rmtree(copied.runs / "student")
    assert copied.experiment("student").exit_code == 0
    assert "†" not in copied.line("student")[0]


def test_other_words_than_settings_do_not_make_a_row_stale(copied: Place) -> None:
    copied.change('the plain one"\nseeds', 'another word | for it"\nseeds')
    copied.change("precision =", "checkpoint_steps = 7\nprecision =")
    assert copied.experiment("--stale").stdout == ""
    assert copied.experiment("--write-table").exit_code == 0
    assert copied.line("base")[0] == "`base`: another word &#124; for it"


def test_teaching_that_was_interrupted_is_done_anew(copied: Place) -> None:
    targets = copied.runs / "student" / "targets.h5"
    said = targets.read_bytes()
    shutil.rmtree(copied.runs / "student" / "seed-1")
    targets.write_bytes(b"half")
    (copied.runs / "student" / "made_from.json").unlink()
    assert copied.experiment("student").exit_code == 0
    assert targets.stat().st_size == len(said)


def test_one_seed_alone_can_be_trained(fresh: Place) -> None:
    refused = fresh.experiment("--group=tiny", "--seed=3")
    assert refused.exit_code == 2
    assert "no row that is asked for has the seed 3" in words_of(refused)
    assert fresh.experiment("base", "both", "folded", "--seed=2").exit_code == 0
    assert [each["seed"] for each in fresh.result("base")["runs"]] == [2]
    assert not (fresh.runs / "folded").exists()
    assert fresh.line("base")[1].endswith("(1 of 2 seeds)")
    # Another seed joins it; one that is no longer wanted goes.
    assert fresh.experiment("base", "--seed=1").exit_code == 0
    assert [each["seed"] for each in fresh.result("base")["runs"]] == [1, 2]
    fresh.change("seeds = [1, 2]", "seeds = [2, 3]")
    assert fresh.experiment("base").exit_code == 0
    assert [each["seed"] for each in fresh.result("base")["runs"]] == [2, 3]


def test_a_cross_validation_measures_every_galaxy_once(fresh: Place) -> None:
    assert fresh.experiment("folded").exit_code == 0
    (kept,) = fresh.result("folded")["runs"]
    galaxies = read_galaxies(fresh.data)
    complete = galaxies.learning & ~np.isnan(galaxies.votes).any(axis=1)
    scores = np.full_like(galaxies.votes, np.nan)
    times = np.zeros(len(galaxies), int)
    for fold in range(2):
        held_out = in_fold(galaxies, 2, fold)
        run = fresh.runs / "folded" / "seed-1" / f"fold-{fold}"
        record = json.loads((run / "run.json").read_text("utf-8"))
        assert (record["settings"]["folds"], record["settings"]["fold"]) == (2, fold)
        scores[held_out] = predict(trained(run, galaxies.tree)[0], galaxies.where(held_out).images, CPU)
        times += held_out
        part = kept["folds"][fold]
        assert part["measured"] == held_out.sum()
        assert part["galaxies"] == (galaxies.learning & ~held_out).sum()
        assert part["rmse_one_view"] == pytest.approx(rmse(scores[held_out], galaxies.votes[held_out]), abs=2e-6)
    assert (times == complete).all()
    assert kept["measured"] == complete.sum()
    assert kept["rmse_one_view"] == pytest.approx(rmse(scores[complete], galaxies.votes[complete]), abs=2e-6)
    spread = np.std([each["rmse_one_view"] for each in kept["folds"]], ddof=1)
    assert fresh.line("folded")[1] == f"{kept['rmse_one_view']:.4f} ± {spread:.4f} (2 folds)"


def test_an_interrupted_row_says_how_to_go_on(fresh: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(perform, "train", stop)
    stopped = fresh.experiment("base")
    assert stopped.exit_code == 130
    assert "The same command goes on" in stopped.stderr
    monkeypatch.undo()
    # A run that has begun but is not finished goes on.
    assert fresh.experiment("base", "--seed=1").exit_code == 0
    record = fresh.runs / "base" / "seed-1" / "run.json"
    record.write_text(record.read_text("utf-8").replace('"finished": true', '"finished": false'), "utf-8")
    assert fresh.experiment("base", "--seed=1").exit_code == 0
    assert json.loads(record.read_text("utf-8"))["finished"] is True


def test_runs_of_other_data_are_refused(copied: Place, tmp_path: Path) -> None:
    other = write_galaxies(tmp_path / "other.h5", count=24, validation=8)
    refused = Place(copied.folder, other).experiment("base")
    assert refused.exit_code == 2
    assert "was trained on other data" in words_of(refused)


def test_data_without_a_validation_split_can_not_be_measured_on(fresh: Place) -> None:
    bare = Place(fresh.folder, write_galaxies(fresh.folder / "bare.h5", count=16, validation=0))
    refused = bare.experiment("base")
    assert refused.exit_code == 2
    assert "no galaxies to measure" in words_of(refused)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "name the rows to perform"),
        (["fly"], "there is no row fly"),
        (["--group=fly"], "there is no group fly"),
        (["base", "--data=nowhere.h5"], "there is no nowhere.h5"),
        (["base", "--file=nowhere.toml"], "there is no file of experiments nowhere.toml"),
        (["base", "--threads=-1"], "--threads (GALAXYTREE_EXPERIMENT_THREADS)"),
    ],
)
def test_a_wrong_call_is_a_sentence_and_status_2(fresh: Place, words: list[str], complaint: str) -> None:
    result = fresh.experiment(*words)
    assert result.exit_code == 2
    assert complaint in words_of(result)


def test_a_row_that_fails_keeps_none_from_it_that_does_not_need_it(fresh: Place) -> None:
    fresh.change("seeds = [1, 2]", 'seeds = [1]\ntrain = { population = "nowhere.csv" }')
    result = fresh.experiment("student", "folded")
    assert result.exit_code == 2
    assert "nowhere.csv" in words_of(result)
    assert words_of(result).endswith("student: needs base")
    assert fresh.result("folded")["runs"]
    assert not (fresh.folder / "results" / "student.json").exists()


def test_a_page_without_a_place_for_the_table_is_told_before_training(fresh: Place) -> None:
    (fresh.folder / "page.md").write_text("# A page\n", "utf-8")
    result = fresh.experiment("base")
    assert result.exit_code == 2
    assert "has no place for the table" in words_of(result)
    assert fresh.page == "# A page\n"
    assert not fresh.runs.exists()


def test_the_rest_of_the_page_stays(fresh: Place) -> None:
    (fresh.folder / "page.md").write_text("before\n<!-- experiments -->\nold\n<!-- end -->\nafter\n", "utf-8")
    assert fresh.experiment("--write-table").exit_code == 0
    assert fresh.page.startswith("before\n<!-- experiments -->\n")
    assert fresh.page.endswith("<!-- end -->\nafter\n")
    assert "\nold\n" not in fresh.page
    assert fresh.line("base")[1:7] == [""] * 6


def test_a_file_that_holds_no_result_is_told(fresh: Place) -> None:
    (fresh.folder / "results").mkdir()
    (fresh.folder / "results" / "base.json").write_text("{}", "utf-8")
    result = fresh.experiment("--list")
    assert result.exit_code == 2
    assert "holds no result of an experiment" in words_of(result)
