"""The file of experiments: what does not fit is told before anything is trained."""

from pathlib import Path

import pytest

from training.experiment.plan import Experiments, read_experiments
from training.experiment.results import read_results
from training.experiment.rows import ExperimentError
from training.experiment.table import BEGIN, END, table

ROOT = Path(__file__).parents[2]
REAL = ROOT / "experiments" / "experiments.toml"

GROUP = '[groups.g]\ntitle = "G"\ntext = "t"\n[groups.g.train]\nimagenet = false\n'


def row(name: str, more: str = "", group: str = "g") -> str:
    return f'[rows.{name}]\ngroup = "{group}"\nabout = "a"\n{more}\n'


def read(text: str, folder: Path) -> Experiments:
    path = folder / "experiments.toml"
    path.write_text(text, "utf-8")
    return read_experiments(path)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("rows = ", "Invalid value"),
        (row("a", group="other"), "rows.a: there is no group other"),
        (row("a", "speed = 1"), "rows.a.speed: Extra inputs are not permitted"),
        (row("A"), "rows.A"),
        (row("a", "train = { crop = 0 }"), "rows.a: crop: Input should be greater than 0"),
        (row("a", "train = { speed = 1 }"), "rows.a: speed: Extra inputs are not permitted"),
        (row("a", "train = { seed = 1 }"), "rows.a.train: seed can't be set here"),
        (row("a", "train = 3"), "rows.a.train: Input should be a valid dictionary"),
        (row("a", "seeds = []"), "rows.a.seeds"),
        (row("a", "seeds = [1, 1]"), "rows.a: a seed twice"),
        (row("a", 'teachers = ["b"]'), "rows.a: there is no row b"),
        (row("a", 'initial = "b"'), "rows.a: there is no row b"),
        (row("a", 'ensemble = ["b", "c"]'), "rows.a: there is no row b, c"),
        (row("a", 'teachers = ["b"]') + row("b", 'initial = "a"'), "rows need each other in a circle: "),
        (row("a", 'teachers = ["a"]'), "rows need each other in a circle: "),
        (row("a", "teach = { one_view = true }"), "rows.a: teach without teachers"),
        (row("a") + row("b", 'teachers = ["a"]\nteach = { speed = 1 }'), "rows.b: speed: Extra inputs"),
        (row("a") + row("b", 'teachers = ["a"]\nteach = { output = "x" }'), "rows.b: teach.output: Extra inputs"),
        (
            row("a") + row("b", 'teachers = ["a"]\ntrain = { targets = "x" }'),
            "rows.b.train: targets can't be set here; name other rows as the row's own `teachers`",
        ),
        (
            row("a") + row("b", 'initial = "a"\ntrain = { initial = "x" }'),
            "rows.b.train: initial can't be set here; name other rows as the row's own `initial`",
        ),
        (
            row("a") + row("b", 'ensemble = ["a"]\nseeds = [2]'),
            "rows.b: an ensemble trains nothing, so it has no seeds",
        ),
        (
            row("a") + row("b", 'average = ["a"]\nseeds = [2]'),
            "rows.b: an average trains nothing, so it has no seeds",
        ),
        (
            row("a") + row("b", 'average = ["a"]\nensemble = ["a"]'),
            "rows.b: an ensemble is no average",
        ),
        (row("a") + row("b", 'average = ["a"]'), "rows.b: an average is of two runs or more"),
        (
            row("a") + row("b", 'ensemble = ["a"]') + row("c", 'average = ["a", "b"]'),
            "rows.c: b is an ensemble, which has no weights of its own",
        ),
        (row("a", "cross_validate = true"), "rows.a: a cross-validation wants train.folds of 2 or more"),
        (
            row("a", "cross_validate = true\ntrain = { folds = 2, fold = 1 }"),
            "rows.a: a cross-validation has every fold",
        ),
        (
            row("a") + row("b", 'cross_validate = true\ninitial = "a"\ntrain = { folds = 2 }'),
            "rows.b: a cross-validation can't learn or start from runs that have seen what it holds out",
        ),
        (
            row("a", "cross_validate = true\ntrain = { folds = 2 }") + row("b", 'ensemble = ["a"]'),
            "rows.b: a is a cross-validation",
        ),
        (
            row("a") + row("b", 'initial = "a"\ntrain = { folds = 2 }'),
            "rows.b: what it is made from holds out other galaxies",
        ),
        (
            row("a") + row("b", "train = { folds = 2 }") + row("c", 'ensemble = ["a", "b"]'),
            "rows.c: what it is made from holds out other galaxies",
        ),
    ],
)
def test_what_does_not_fit_is_one_sentence(text: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(ExperimentError) as raised:
        read(GROUP + text, tmp_path)
    assert complaint in str(raised.value)
    assert "\n" not in str(raised.value)


def test_rows_come_after_what_they_need(tmp_path: Path) -> None:
    text = row("last", 'ensemble = ["pair"]') + row("pair", 'ensemble = ["student", "base"]')
    experiments = read(GROUP + text + row("student", 'teachers = ["base"]') + row("base") + row("other"), tmp_path)
    order = experiments.order(["last"])
    assert sorted(order) == ["base", "last", "pair", "student"]
    assert order.index("base") < order.index("student") < order.index("pair") < order.index("last")


def test_an_ensemble_of_ensembles_has_each_run_once(tmp_path: Path) -> None:
    text = row("base", "seeds = [4, 5]") + row("one", 'ensemble = ["base"]') + row("all", 'ensemble = ["one", "base"]')
    experiments = read(GROUP + text, tmp_path)
    assert [run.label for run in experiments.made_from("all")] == ["base/seed-4", "base/seed-5"]


def test_a_network_without_imagenet_weights_may_start_from_another_row(tmp_path: Path) -> None:
    text = row("base", 'train = { network = "large-kernel" }')
    text += row("next", 'initial = "base"\ntrain = { network = "large-kernel", imagenet = true }')
    experiments = read(GROUP + text, tmp_path)
    settings = experiments.settings(experiments.runs("next")[0], Path("runs"))
    assert settings.initial == Path("runs/base/seed-1")


def test_the_projects_own_file_can_be_performed() -> None:
    experiments = read_experiments(REAL)
    assert "screening" in experiments.groups
    for name, each in experiments.rows.items():
        assert each.about
        for run in () if each.ensemble or each.average else experiments.runs(name):
            settings = experiments.settings(run, Path("runs"), data=Path("data.h5"), threads=2, device="cpu")
            assert settings.seed == run.seed
            if each.group == "screening":
                # What the page says of all of them.
                assert f"trained on {settings.views_seen:,} views" in experiments.groups[each.group].text


def test_the_projects_own_page_shows_the_results_that_there_are() -> None:
    """If not: python -m training experiment --write-table."""
    experiments = read_experiments(REAL)
    page = (ROOT / "docs" / "experiments.md").read_text("utf-8")
    shown = page.partition(f"{BEGIN}\n")[2].partition(END)[0]
    assert shown.strip() == table(experiments, read_results(ROOT / "experiments" / "results", experiments)).strip()
