"""The comparison from the command line: what is printed, written, kept and refused."""

import errno
import json
import re
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from torch import nn

from galaxytree.decision_tree import load_tree
from galaxytree.imaging import GALAXY_ZOO_FRAMING, Framing
from tests.training.galaxies import TREE, write_galaxies
from training.arrays import ArrayWriter, read_galaxies
from training.compare import compare as comparison
from training.compare import page
from training.compare.cli import compare_command
from training.compare.drawn import drawn_galaxies
from training.compare.fitting import Lesson, fit
from training.compare.settings import CompareSettings
from training.compare.system import System
from training.compare.systems import SYSTEMS
from training.compare.views import average_colour
from training.metrics import rmse
from training.processes import Process
from training.runs import git_commit, write_safely

TINY = ("--galaxies-seen=24", "--batch-size=8", "--threads=1", "--device=cpu")
Words = tuple[str | Path, ...]
THREE = "--systems=column-means,five-layers,small-cnn"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 galaxies, 8 of them for validation."""
    return write_galaxies(tmp_path_factory.mktemp("compared") / "galaxies.h5", 40, validation=8)


def compare(*words: str | Path) -> Result:
    threads = torch.get_num_threads()
    try:
        return CliRunner().invoke(compare_command, [str(word) for word in words], catch_exceptions=False)
    finally:
        torch.set_num_threads(threads)


def into(folder: Path) -> tuple[str, ...]:
    return (f"--output={folder}", f"--table={folder / 'table.md'}", f"--plot={folder / 'plot.svg'}")


def rows(text: str) -> dict[str, list[str]]:
    """Read a table: system -> its cells."""
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0].strip("`"): row for row in cells}


@pytest.fixture(scope="module")
def compared(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """Folder and output of a finished comparison of three systems."""
    folder = tmp_path_factory.mktemp("results")
    result = compare("--data", data, *TINY, THREE, *into(folder))
    assert result.exit_code == 0, result.output
    return folder, result


def test_the_table_has_a_row_for_each_system_in_its_order(compared: tuple[Path, Result]) -> None:
    _, result = compared
    assert list(rows(result.output)) == ["column-means", "five-layers", "small-cnn"]
    assert "Each network saw 24 galaxies, a galaxy counted each time, in batches of 8, drawn from 32" in result.output
    assert "Made by `python -m training compare --galaxies-seen 24 --batch-size 8`." in result.output
    assert "Least squares (`column-means`) had 24 of the 32 galaxies, each once (seed 1)." in result.output
    assert "Every line is one training with one seed" in result.output
    assert "8 validation galaxies" in result.output


def test_a_system_that_answers_the_first_question_alone_has_no_rmse_over_all_columns(
    compared: tuple[Path, Result],
) -> None:
    row = rows(compared[1].output)["five-layers"]
    assert row[2] == "-"
    assert re.fullmatch(r"\d+\.\d%", row[3])
    assert row[8] == "accuracy 0.78"
    assert "`five-layers`: RMSE 0." in compared[1].output


def test_the_row_of_the_column_means_is_theirs(compared: tuple[Path, Result], data: Path) -> None:
    galaxies = read_galaxies(data)
    unseen = galaxies.where(galaxies.validation)
    # All that is seen of 32 galaxies are 24, so their means are near the means of all, and not the same.
    means = np.nanmean(galaxies.votes[~galaxies.validation], axis=0)
    row = rows(compared[1].output)["column-means"]
    assert float(row[2]) == pytest.approx(rmse(np.tile(means, (8, 1)), unseen.votes), abs=0.02)
    assert float(row[3].rstrip("%")) == pytest.approx(50, abs=0.1)
    assert row[4] == str(len(TREE.columns))
    assert row[6] == "-"


def test_what_is_written_is_what_is_printed(compared: tuple[Path, Result]) -> None:
    folder, result = compared
    page = (folder / "table.md").read_text()
    assert rows(page) == rows(result.output)
    assert "(plot.svg)" in page
    drawn = (folder / "plot.svg").read_text()
    assert all(name in drawn for name in ("column-means", "five-layers", "small-cnn"))
    kept = json.loads((folder / "small-cnn.json").read_text())
    assert kept["terms"]["galaxies_seen"] == 24
    assert kept["machine"]["torch"] == torch.__version__
    assert kept["commit"] == git_commit()


def test_what_is_finished_is_not_done_again(compared: tuple[Path, Result], data: Path, tmp_path: Path) -> None:
    folder, first = compared
    before = {path.name: path.read_bytes() for path in folder.glob("*.json")}
    again = compare("--data", data, *TINY, THREE, f"--output={folder}", *into(tmp_path)[1:])
    assert {path.name: path.read_bytes() for path in folder.glob("*.json")} == before
    assert rows(again.output) == rows(first.output)
    assert (tmp_path / "table.md").read_bytes() == (folder / "table.md").read_bytes()


def test_other_settings_are_computed_anew(data: Path, tmp_path: Path) -> None:
    words: Words = ("--data", data, *TINY, "--systems=central-pixel", *into(tmp_path))
    compare(*words)
    before = (tmp_path / "central-pixel.json").read_text()
    result = compare(*words, "--seed=2")
    assert json.loads((tmp_path / "central-pixel.json").read_text())["terms"]["seed"] == 2
    assert json.loads(before)["terms"]["seed"] == 1
    assert "(seed 2" in result.output
    # No network is in this table, and least squares sees nothing twice.
    assert "Each network" not in result.output
    assert "had 24 of the 32 galaxies" in result.output
    assert "had 32 of the 32 galaxies" in compare(*words, "--galaxies-seen=100").output


def test_a_system_that_has_changed_is_computed_anew(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words: Words = ("--data", data, *TINY, "--systems=central-pixel", *into(tmp_path))
    compare(*words)
    file = tmp_path / "central-pixel.json"
    before = json.loads(file.read_text())
    monkeypatch.setitem(SYSTEMS, "central-pixel", replace(SYSTEMS["central-pixel"], look=average_colour))
    compare(*words)
    changed = json.loads(file.read_text())
    assert changed["terms"]["system_sha256"] != before["terms"]["system_sha256"]
    assert changed["rmse"] != before["rmse"]
    # One that was written down before there were digests is no obstacle either.
    del changed["terms"]["system_sha256"], changed["commit"]
    file.write_text(json.dumps(changed))
    assert compare(*words).exit_code == 0
    assert "commit" in json.loads(file.read_text())


def without(key: str) -> Callable[[str], str]:
    return lambda text: json.dumps({name: value for name, value in json.loads(text).items() if name != key})


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:100],
        lambda _: "[]",
        lambda _: '{"system": "central-pixel"}',
        lambda text: text.replace("central-pixel", "small-cnn"),
        without("machine"),
    ],
    ids=["cut", "list", "no-terms", "of-another", "without-machine"],
)
def test_a_damaged_result_is_named_before_anything_is_trained(
    damage: Callable[[str], str], data: Path, tmp_path: Path
) -> None:
    words: Words = ("--data", data, *TINY, *into(tmp_path))
    compare(*words, "--systems=central-pixel")
    file = tmp_path / "central-pixel.json"
    damaged = damage(file.read_text())
    file.write_text(damaged)
    result = compare(*words, "--systems=average-colour")
    assert result.exit_code == 2
    said = " ".join(result.output.split())
    assert "central-pixel.json can't be used (" in said
    assert "delete it, so that central-pixel is trained anew, or give another --output" in said
    assert file.read_text() == damaged
    assert not (tmp_path / "average-colour.json").exists()


def test_a_result_that_can_not_be_read_is_named(data: Path, tmp_path: Path) -> None:
    (tmp_path / "small-cnn.json").mkdir()
    result = compare("--data", data, *TINY, "--systems=central-pixel", *into(tmp_path))
    assert result.exit_code == 2
    assert "small-cnn.json can't be used" in " ".join(result.output.split())


def test_a_comparison_that_is_stopped_goes_on(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words: Words = ("--data", data, *TINY, "--systems=average-colour,small-cnn", *into(tmp_path))
    asked: list[str] = []

    def stopped(system: System, network: nn.Module, lesson: Lesson) -> list[float]:
        asked.append(system.name)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return fit(system, network, lesson)

    monkeypatch.setattr(comparison, "fit", stopped)
    result = compare(*words)
    assert result.exit_code == 130
    assert "goes on" in result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["average-colour.json"]
    finished = (tmp_path / "average-colour.json").read_bytes()

    result = compare(*words)
    assert result.exit_code == 0
    assert list(rows(result.output)) == ["average-colour", "small-cnn"]
    assert (tmp_path / "average-colour.json").read_bytes() == finished
    assert asked == ["average-colour", "small-cnn", "small-cnn"]


def test_the_same_settings_give_the_same_figures(compared: tuple[Path, Result], data: Path, tmp_path: Path) -> None:
    first = rows(compared[1].output)["small-cnn"]
    again = compare("--data", data, *TINY, "--systems=small-cnn", *into(tmp_path))
    # All but how long it took.
    assert rows(again.output)["small-cnn"][:6] == first[:6]


def test_a_system_learns_what_round_and_thin_galaxies_are_called(data: Path, tmp_path: Path) -> None:
    words: Words = ("--galaxies-seen=960", "--batch-size=16", "--threads=1", "--device=cpu", "--precision=float32")
    result = compare("--data", data, *words, "--systems=column-means,small-cnn", *into(tmp_path))
    learnt, means = (rows(result.output)[name] for name in ("small-cnn", "column-means"))
    assert float(learnt[2]) < 0.8 * float(means[2])
    assert float(learnt[3].rstrip("%")) > float(means[3].rstrip("%")) + 20


def test_galaxies_that_are_set_aside_are_not_learnt_from(tmp_path: Path) -> None:
    path = write_galaxies(tmp_path / "galaxies.h5", 40, validation=8)
    with ArrayWriter(tmp_path / "other.h5", TREE, GALAXY_ZOO_FRAMING, 40) as writer:
        galaxies = read_galaxies(path)
        for number in range(40):
            aside = bool(galaxies.validation[number])
            # Those for calibration, and those without votes, say nothing or something false.
            false = np.full(37, np.nan, np.float32) if number < 4 else 1 - galaxies.votes[number]
            votes = false if number < 8 else galaxies.votes[number]
            writer.append(str(number), galaxies.images[number], votes, validation=aside, calibration=4 <= number < 8)
    words = (*TINY, "--systems=column-means")
    compare("--data", tmp_path / "other.h5", *words, *into(tmp_path / "results"))
    kept = json.loads((tmp_path / "results" / "column-means.json").read_text())
    assert kept["terms"]["learning"] == 24
    assert kept["terms"]["validation"] == 8


def test_quick_leaves_the_full_table_alone(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = compare("--quick", "--data", data, "--systems=column-means", "--threads=1")
    assert result.exit_code == 0, result.output
    made = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert made == {f"runs/compare-quick/{name}" for name in ("column-means.json", "table.md", "compare.png")}


def test_without_quick_the_budget_is_large_and_the_table_that_of_the_docs() -> None:
    full, quick = CompareSettings(), CompareSettings(quick=True)
    assert full.steps > 20 * quick.steps
    assert (full.folder, full.table_file) == (Path("runs/compare"), Path("docs/compare.md"))
    assert full.plot_file == Path("docs/figures/compare.png")
    assert CompareSettings(galaxies_seen=3, batch_size=8).steps == 1


def test_the_table_takes_its_place_in_a_page(data: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n\n<!-- compared -->\nan old table\n<!-- end -->\n\nafter\n")
    compare(
        "--data", data, *TINY, "--systems=column-means", *into(tmp_path)[:1], f"--table={page}", f"--plot={page}.png"
    )
    text = page.read_text()
    assert text.startswith("before\n\n<!-- compared -->\nLeast squares")
    assert "(page.md.png)" in text
    assert text.endswith("<!-- end -->\n\nafter\n")
    assert "old" not in text


def test_a_page_without_a_place_for_the_table_is_left_as_it_is(data: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("all but a table\n")
    result = compare("--data", data, *TINY, "--systems=column-means", f"--output={tmp_path}", f"--table={page}")
    assert result.exit_code == 2
    assert "has no place for the table" in result.output
    assert page.read_text() == "all but a table\n"
    # It says so before anything is computed.
    assert [path.name for path in tmp_path.iterdir()] == ["page.md"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"--table": "latin.md"}, "latin.md can't be read as a page"),
        ({"--table": "folder"}, "folder can't be read as a page"),
        ({"--table": "latin.md/table.md"}, "latin.md/table.md can't be written"),
        ({"--plot": "latin.md/plot.png"}, "latin.md/plot.png can't be written"),
        ({"--plot": "folder.png"}, "folder.png can't be written (it is a folder); give another --plot"),
        ({"--output": "latin.md"}, "latin.md/central-pixel.json can't be written"),
    ],
    ids=["encoding", "table-folder", "table-below-a-file", "plot-below-a-file", "plot-folder", "output-file"],
)
def test_files_that_can_not_be_written_are_found_before_anything_is_trained(
    options: dict[str, str], sentence: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("latin.md").write_bytes(b"<!-- compared -->caf\xe9<!-- end -->")
    Path("folder").mkdir()
    Path("folder.png").mkdir()
    given = {"--output": "results", "--table": "table.md", "--plot": "plot.svg"} | options
    words = [f"{name}={value}" for name, value in given.items()]
    result = compare("--data", data, *TINY, "--systems=central-pixel", *words)
    assert result.exit_code == 2
    assert sentence in " ".join(result.output.split())
    assert not list(tmp_path.rglob("*.json"))
    assert Path("latin.md").read_bytes().endswith(b"<!-- end -->")


@pytest.mark.parametrize(("name", "option"), [("table.md", "--table"), ("plot.svg", "--plot")])
def test_a_file_that_can_no_longer_be_written_stays_whole(
    name: str, option: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words: Words = ("--data", data, *TINY, "--systems=central-pixel", *into(tmp_path))
    compare(*words)
    before = (tmp_path / name).read_bytes()

    def full(path: Path, contents: Callable[[BinaryIO], object]) -> None:
        if path.name == name:
            raise OSError(errno.ENOSPC, "No space left on device")
        write_safely(path, contents)

    monkeypatch.setattr(page, "write_safely", full)
    result = compare(*words)
    assert result.exit_code == 2
    assert f"{name} can't be written (No space left on device); give another {option}" in " ".join(
        result.output.split()
    )
    assert (tmp_path / name).read_bytes() == before


def test_a_comparison_is_of_one_process(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What torchrun would make of the first of two processes.
    monkeypatch.setattr(comparison, "joined", lambda _: nullcontext(Process(0, 2, torch.device("cpu"))))
    result = compare("--data", data, *TINY, "--systems=central-pixel", *into(tmp_path))
    assert result.exit_code == 2
    assert "of one process, and there are 2; start it without torchrun" in " ".join(result.output.split())
    assert not list(tmp_path.iterdir())


def test_made_up_galaxies_are_not_asked_for_by_systems_of_real_ones(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = drawn_galaxies(12, 4)
    monkeypatch.setattr(comparison, "drawn_galaxies", lambda: few)
    words: Words = ("--data", data, *TINY, "--batch-size=16", *into(tmp_path))
    assert compare(*words, "--systems=central-pixel").exit_code == 0
    result = compare(*words, "--systems=central-pixel,maxout-16-parts-candels")
    assert result.exit_code == 2
    said = " ".join(result.output.split())
    assert "8 galaxies to learn from and 4 to measure on do not do for batches of 16" in said
    assert "made-up ones of maxout-16-parts-candels, which --systems can leave out" in said


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--systems=resnet-51,small-cnn",), "there is no system resnet-51; known are all, column-means,"),
        (("--systems=,",), "there is no system without a name"),
        (("--batch-size=33",), "32 galaxies to learn from and 8 to measure on do not do for batches of 33"),
        (("--plot=compare.xyz",), "compare.xyz ends in none of .png, .svg"),
        (("--data=nowhere.h5",), "there is no nowhere.h5"),
    ],
)
def test_what_can_not_be_done_is_answered_with_a_sentence(
    data: Path, tmp_path: Path, words: tuple[str, ...], sentence: str
) -> None:
    result = compare("--data", data, *into(tmp_path), *words)
    assert result.exit_code == 2
    assert sentence in " ".join(result.output.split())


def test_galaxies_of_another_tree_are_not_compared_on(tmp_path: Path) -> None:
    with ArrayWriter(tmp_path / "other.h5", load_tree("candels"), Framing(size=8, field=1), 1) as writer:
        writer.append("one", np.zeros((8, 8, 3), np.uint8), np.zeros(5, np.float32), validation=False)
    result = compare("--data", tmp_path / "other.h5", *into(tmp_path))
    assert result.exit_code == 2
    assert "compared on galaxy-zoo-2" in " ".join(result.output.split())


def test_every_system_has_a_name_that_an_option_can_hold() -> None:
    assert all(re.fullmatch(r"[a-z0-9-]+", name) and name != "all" for name in SYSTEMS)
