"""The page that `explore` writes, as whoever opens it finds it."""

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from galaxytree.card import MODEL_FILE, ModelCard, sha256_of
from galaxytree.decision_tree import DecisionTree, load_tree
from tests.tiny_model import FRAMING, write_model
from tests.training.galaxies import draw, votes_of
from training.arrays import ArrayWriter, read_galaxies
from training.evaluate import SHIPPED, evaluate, split_sha256
from training.explore.cli import explore_command
from training.explore.scoring import Model
from training.explore.settings import ExploreSettings

TREE, CANDELS = load_tree("galaxy-zoo-2"), load_tree("candels")
EVIL = '<script src="https://example.org/x.js">&"$name$'
VOID = {"meta", "img", "br", "link", "input", "hr"}


def explore(*words: str | Path) -> Result:
    return CliRunner().invoke(explore_command, [str(word) for word in words], catch_exceptions=False)


@dataclass
class Page(HTMLParser):
    """Reads a page, and holds that every element is closed where it was opened."""

    open: list[str] = field(default_factory=list)
    seen: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    section: str = ""

    @classmethod
    def of(cls, path: Path) -> "Page":
        page = cls()
        HTMLParser.__init__(page)
        page.feed(path.read_text("utf-8"))
        page.close()
        assert page.open == []
        return page

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs), tag
        if tag == "section":
            self.section = dict(attrs)["id"] or ""
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        # Numbers along the axes of drawings are none of the text.
        if not {"svg", "style"} & set(self.open):
            self.texts[self.section] = f"{self.texts.get(self.section, '')} {data}"

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.seen if name == tag]

    def words(self, section: str) -> str:
        return " ".join(self.texts[section].split())


def write_data(
    path: Path,
    votes: NDArray[np.float32],
    *,
    tree: DecisionTree = TREE,
    validation: int = 0,
    names: Sequence[str] | None = None,
) -> Path:
    """Write an array file of these votes on made-up pictures; the last ones are set aside for validation."""
    with ArrayWriter(path, tree, FRAMING, max(len(votes), 1)) as writer:
        for number, row in enumerate(votes):
            name = names[number] if names else f"galaxy-{number}"
            picture = draw(thin=bool(number % 2), seed=number, size=FRAMING.size)
            writer.append(name, picture, row, validation=number >= len(votes) - validation)
    return path


def with_error_bars(folder: Path, *, error: float = 0.1, columns: int = 37) -> Path:
    """Give a small model a convolution, an uncertainty for each score, and the brightness as out of domain."""
    file = folder / MODEL_FILE
    model = onnx.load(file)
    constants: dict[str, NDArray[np.generic]] = {
        "nothing": np.array(0, np.float32),
        "error": np.full(columns, error, np.float32),
        "all_axes": np.array([1, 2, 3], np.int64),
        "filters": np.random.default_rng(0).normal(size=(5, 3, 3, 3)).astype(np.float32),
    }
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    model.graph.node.extend(
        [
            helper.make_node("ReduceMean", ["scaled", "all_axes"], ["out_of_domain"], keepdims=0),
            helper.make_node("Unsqueeze", ["out_of_domain", "one"], ["column"]),
            helper.make_node("Mul", ["column", "nothing"], ["zeros"]),
            helper.make_node("Add", ["zeros", "error"], ["uncertainty"]),
            helper.make_node("Transpose", ["scaled"], ["planes"], perm=[0, 3, 1, 2]),
            helper.make_node("Conv", ["planes", "filters"], ["answers"], pads=[1, 1, 1, 1]),
        ]
    )
    model.graph.initializer.append(numpy_helper.from_array(np.array([1], np.int64), "one"))
    model.graph.output.extend(
        [
            helper.make_tensor_value_info("uncertainty", TensorProto.FLOAT, ["N", columns]),
            helper.make_tensor_value_info("out_of_domain", TensorProto.FLOAT, ["N"]),
        ]
    )
    onnx.save(model, file)
    ModelCard.read(folder).model_copy(update={"sha256": sha256_of(file)}).write(folder)
    return folder


@dataclass(frozen=True)
class Written:
    """A page, what the command said, and what it was made of."""

    page: Page
    path: Path
    result: Result


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Explore 30 galaxies, of which the model is right on all that it scores but one."""
    folder = tmp_path_factory.mktemp("explore")
    model = with_error_bars(write_model(folder / "model"))
    random = np.random.default_rng(0)
    fractions = random.random((30, len(TREE.columns)), np.float32)
    votes = TREE.normalise(fractions)
    votes[:9, TREE.slices["Q3"]] = np.nan
    votes[9] = np.nan
    # Galaxy 4 is the smoothest of all, and galaxy 25 what the model is most wrong on.
    votes[4] = votes_of("Class1.1", "Class7.1", "Class6.2")
    names = [EVIL if number == 4 else f"galaxy-{number}" for number in range(30)]
    data = write_data(folder / "data.h5", votes, validation=12, names=names)
    galaxies = read_galaxies(data)
    unseen = galaxies.where(galaxies.validation)
    votes[18:] = Model.fitting(model, galaxies).predict(unseen.images).scores
    votes[25] = TREE.normalise(1 - votes[25])
    write_data(data, votes, validation=12, names=names)
    path = folder / "new" / "page.html"
    result = explore("--data", data, "--model", model, "--output", path)
    assert result.exit_code == 0, result.output
    return Written(Page.of(path), path, result)


def test_it_says_what_it_wrote(written: Written) -> None:
    assert written.result.stdout.splitlines() == [
        "30 galaxies, of which the model scored 12",
        f"{written.path}: {written.path.stat().st_size / 1e6:.1f} MB",
    ]
    assert list(written.path.parent.iterdir()) == [written.path]


def test_nothing_is_fetched_from_anywhere(written: Written) -> None:
    text = written.path.read_text("utf-8")
    assert written.page.all("script") == written.page.all("link") == written.page.all("iframe") == []
    for tag, attributes in written.page.seen:
        for name in ("src", "href", "xlink:href"):
            address = attributes.get(name) or "#"
            assert address.startswith(("#", "data:image/")), (tag, address[:80])
    assert "@import" not in text
    assert "url(http" not in text
    (policy,) = [each["content"] for each in written.page.all("meta") if "http-equiv" in each]
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_names_from_the_data_are_text(written: Written) -> None:
    assert EVIL in written.page.words("examples")
    assert "<script" not in written.path.read_text("utf-8")


def test_everything_that_is_seen_is_also_said(written: Written) -> None:
    assert all(each.get("alt") for each in written.page.all("img"))
    drawings = written.page.all("svg")
    assert all(each.get("role") == "img" and each.get("aria-label") for each in drawings)
    # Means and correlations and calibration of 11 questions, all correlations, coverage and distances, and strangers.
    assert len(drawings) >= 33 + 1 + 2 + 1


def test_ids_are_unique_and_links_lead_somewhere(written: Written) -> None:
    ids = [attributes["id"] for _, attributes in written.page.seen if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {str(each["href"]).removeprefix("#") for each in written.page.all("a")} <= set(ids)


def test_light_dark_and_small_screens_are_provided_for(written: Written) -> None:
    text = written.path.read_text("utf-8")
    assert "@media (prefers-color-scheme: dark)" in text
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in written.page.all("meta")
    # A drawing whose ink were black could not be read in the dark.
    assert "#000000" not in text
    assert "fill: var(--ink)" in text


def test_the_parts_are_there_in_order(written: Written) -> None:
    assert [each["id"] for each in written.page.all("section")] == [
        "data", "examples", "correlations", "first-layer", "mistakes", "calibration", "uncertainty",
    ]  # fmt: skip


def test_every_question_and_answer_appears(written: Written) -> None:
    words = written.page.words("examples")
    for question in TREE.questions:
        assert f"{question.id}: {question.text}" in words
        for answer in question.answers:
            assert f"{answer.label} {answer.id}: " in words


def test_galaxies_are_counted_by_what_is_known(written: Written) -> None:
    words = written.page.words("data")
    assert "all 30 18 0 12" in words
    assert "with every vote known 21 9 0 12" in words
    assert "with some votes known 8 8 0 0" in words
    assert "without any vote 1 1 0 0" in words


def test_the_clearest_galaxy_is_the_one_with_the_highest_vote(written: Written) -> None:
    assert f"smooth Class1.1: 1.000 {EVIL}" in written.page.words("examples")
    pictures = [each["alt"] or "" for each in written.page.all("img")]
    assert f"Galaxy {EVIL}, smooth: vote 1.000" in pictures


def test_filters_and_responses_are_shown(written: Written) -> None:
    words = written.page.words("first-layer")
    assert "begins with 5 filters of 3 x 3 pixels" in words
    assert "in the colours that it answers to" in words
    assert "filter 4 strength" in words
    assert "filter 5" not in words


def test_the_worst_prediction_comes_first(written: Written) -> None:
    words = written.page.words("mistakes")
    assert "of 12 galaxies" not in words
    assert words.index("galaxy-25 error 0.") < words.index("galaxy-18 error 0.000, same likeliest path")
    assert "tiny 2026.11.1 scores 12 galaxies" in words
    assert "The card does not say that tiny was measured on this validation split" in words
    assert "by the model than by the volunteers for 1." in words
    assert words.count("another likeliest path") == 1


def test_calibration_is_shown_question_by_question(written: Written) -> None:
    words = written.page.words("calibration")
    for question in TREE.questions:
        assert f"{question.id}: {question.text} RMSE 0." in words
    assert "from 24 votes" in words


def test_error_bars_and_strange_galaxies_are_shown(written: Written) -> None:
    words = written.page.words("uncertainty")
    assert "With each score the model gives error bars." in words
    # The file has one interval only.
    assert "the wide error bars are 1.96 times the narrow ones" in words
    assert "Within ±1.96 uncertainty: " in words
    assert "The strangest galaxies" in words
    (said,) = [str(each["aria-label"]) for each in written.page.all("svg") if "Part of the votes" in str(each)]
    # All predictions but one are exact, so that all or all but a few votes lie within both intervals.
    assert "Q1 68% interval: 100%" in said or "Q1 68% interval: 9" in said
    strange = [str(each["alt"]) for each in written.page.all("img") if "out of domain" in str(each["alt"])]
    values = [float(each.rpartition(" ")[2]) for each in strange]
    assert len(values) == 10
    assert values == sorted(values, reverse=True)


def test_the_page_says_what_part_of_the_votes_each_interval_holds(tmp_path: Path) -> None:
    outputs = ("scores", "uncertainty", "uncertainty_95", "out_of_domain")
    folder = write_model(tmp_path / "model", tree="candels", outputs=outputs)
    data = write_data(tmp_path / "d.h5", candels_votes(10), tree=CANDELS, validation=10)
    predictions = Model.fitting(folder, read_galaxies(data)).predict(read_galaxies(data).images)
    assert predictions.uncertainty is not None
    assert predictions.out_of_domain is not None
    # Half the pictures are flagged.
    plus = {"out_of_domain": 0.5 - float(np.median(predictions.out_of_domain))}
    folder = write_model(tmp_path / "model", tree="candels", outputs=outputs, plus=plus)
    # Of 50 votes 30 lie within uncertainty, 5 more within 1.96 times that, and 10 more within uncertainty_95, which is
    # 2.5 times that: of no normal distribution.
    apart = np.repeat([0.5, 1.5, 2.2, 4], [30, 5, 10, 5]).reshape(10, 5) * predictions.uncertainty
    votes = (predictions.scores - np.copysign(apart, predictions.scores - 0.5)).astype(np.float32)
    write_data(data, votes, tree=CANDELS, validation=10)
    path = tmp_path / "page.html"
    result = explore("--data", data, "--model", folder, "--output", path)
    assert result.exit_code == 0, result.output
    page = Page.of(path)
    words = page.words("uncertainty")
    said = "Within ±uncertainty: 60.0% of the vote fractions, where 68% are meant."
    assert said in words
    assert "Within ±uncertainty_95: 90.0% of the vote fractions, where 95% are meant." in words
    assert "1.96" not in words
    assert "The curve is a normal distribution, for comparison" in words
    (histogram,) = [str(each["aria-label"]) for each in page.all("svg") if "Histogram of vote" in str(each)]
    assert "50 votes, of which 0 lie beyond 5" in histogram
    assert said in histogram
    text = path.read_text("utf-8")
    assert ">a normal distribution<" in text
    assert "standard error" not in text
    assert "Lines reach from scores by uncertainty" in page.words("mistakes")
    # As `evaluate` flags them.
    assert evaluate(folder, read_galaxies(data))[0].flagged == 0.5
    assert "5 galaxies of 10 lie above 0.5, where a picture is flagged." in words


# Odd data. A tree of one question keeps these quick.


@pytest.fixture
def candels_model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model", tree="candels")


def candels_votes(count: int) -> NDArray[np.float32]:
    return np.random.default_rng(1).random((count, 5), np.float32)


def test_another_tree_and_a_model_without_convolution_and_error_bars(tmp_path: Path, candels_model: Path) -> None:
    data = write_data(tmp_path / "d.h5", candels_votes(9), tree=CANDELS, validation=4)
    path = tmp_path / "page.html"
    result = explore("--data", data, "--model", candels_model, "--output", path)
    assert result.exit_code == 0, result.output
    page = Page.of(path)
    for answer in CANDELS.questions[0].answers:
        assert f"{answer.label} {answer.id}: 0." in page.words("examples")
    assert "What the classifiers of CANDELS" in page.words("data")
    assert "This model has no convolution whose filters could be shown." in page.words("first-layer")
    assert "This model gives no error bars" in page.words("uncertainty")
    assert "Of 4 galaxies" in page.words("mistakes")


def test_votes_that_nobody_knows_and_error_bars_of_nothing(tmp_path: Path, candels_model: Path) -> None:
    votes = candels_votes(6)
    votes[:, 2] = np.nan
    votes[5] = np.nan
    data = write_data(tmp_path / "d.h5", votes, tree=CANDELS, validation=3)
    model = with_error_bars(candels_model, error=0.0, columns=5)
    path = tmp_path / "page.html"
    result = explore("--data", data, "--model", model, "--output", path)
    assert result.exit_code == 0, result.output
    page = Page.of(path)
    assert "irregular irregular no galaxy has a vote for it" in page.words("examples")
    assert "from the votes on 5 galaxies at most" in page.words("data")
    assert "Of 2 galaxies" in page.words("mistakes")
    assert "8 votes left out of the histogram: uncertainty there is not above 0." in page.words("uncertainty")
    assert not re.search(r"\bnan\b", path.read_text("utf-8"), re.IGNORECASE)


def test_one_galaxy_and_nobody_set_aside(tmp_path: Path, candels_model: Path) -> None:
    data = write_data(tmp_path / "d.h5", candels_votes(1), tree=CANDELS)
    path = tmp_path / "page.html"
    result = explore("--data", data, "--model", candels_model, "--output", path)
    assert result.exit_code == 0, result.output
    assert "set no galaxies aside for validation" in result.stderr
    assert "1 galaxies, of which the model scored 0" in result.stdout
    page = Page.of(path)
    assert [each["id"] for each in page.all("section")] == ["data", "examples", "correlations", "first-layer"]
    assert "set no galaxies aside for validation" in page.words("")
    assert "none can be computed" in " ".join(str(each["aria-label"]) for each in page.all("svg"))


def test_one_galaxy_without_any_vote(tmp_path: Path, candels_model: Path) -> None:
    data = write_data(tmp_path / "d.h5", np.full((1, 5), np.nan, np.float32), tree=CANDELS, validation=1)
    path = tmp_path / "page.html"
    model = with_error_bars(candels_model, columns=5)
    result = explore("--data", data, "--model", model, "--output", path)
    assert result.exit_code == 0, result.output
    page = Page.of(path)
    assert "Of 0 galaxies" in page.words("mistakes")
    assert "Within ±" not in page.words("uncertainty")
    assert "RMSE – from 0 votes" in page.words("calibration")  # noqa: RUF001  (a dash)


def test_without_a_model_that_fits_the_page_says_what_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of the framing of no shipped model.
    data = write_data(tmp_path / "d.h5", candels_votes(3), tree=CANDELS, validation=1)
    for shipped in (SHIPPED, tmp_path / "not-there"):
        monkeypatch.setattr("training.explore.scoring.SHIPPED", shipped)
        path = tmp_path / "page.html"
        result = explore("--data", data, "--output", path)
        assert result.exit_code == 0, result.output
        page = Page.of(path)
        assert [each["id"] for each in page.all("section")] == ["data", "examples", "correlations"]
        assert "Without a model: " in page.words("")
        assert "are left out; name a model that goes with the data with --model" in page.words("")


def test_some_of_the_galaxies_are_scored(tmp_path: Path, candels_model: Path) -> None:
    data = write_data(tmp_path / "d.h5", candels_votes(9), tree=CANDELS, validation=6)
    pages = []
    for seed in ("1", "1", "2"):
        path = tmp_path / "page.html"
        words = ("--data", data, "--model", candels_model, "--output", path)
        result = explore(*words, "--galaxies=3", "--seed", seed)
        assert result.exit_code == 0, result.output
        assert "The model scored 3 of 6 galaxies set aside for validation." in result.stderr
        pages.append(Page.of(path).words("mistakes"))
    assert "scores 3 galaxies" in pages[0]
    assert pages[0] == pages[1] != pages[2]


@pytest.mark.parametrize("drawn", ["0", "3"])
def test_a_model_measured_on_other_galaxies_is_cautioned_against(tmp_path: Path, drawn: str) -> None:
    data = write_data(tmp_path / "d.h5", candels_votes(9), tree=CANDELS, validation=6)
    galaxies = read_galaxies(data)
    whole, other = (split_sha256(galaxies.where(chosen)) for chosen in (galaxies.validation, ~galaxies.validation))
    path = tmp_path / "page.html"
    for sha256, cautioned in {whole: False, other: True}.items():
        folder = write_model(tmp_path / sha256, tree="candels", card={"metrics": {"validation_sha256": sha256}})
        result = explore("--data", data, "--model", folder, "--output", path, "--galaxies", drawn)
        assert result.exit_code == 0, result.output
        words = Page.of(path).words("mistakes")
        assert f"scores {drawn.replace('0', '6')} galaxies" in words
        assert ("it may be trained on it" in words) == cautioned


def test_too_little_memory_is_not_put_on_the_model(
    tmp_path: Path, candels_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_data(tmp_path / "d.h5", candels_votes(3), tree=CANDELS, validation=1)

    def short(*_: object, **__: object) -> None:
        raise MemoryError

    for module, name in ((onnx, "load"), (onnxruntime, "InferenceSession")):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, short)
            with pytest.raises(MemoryError):
                explore("--data", data, "--model", candels_model, "--output", tmp_path / "page.html")
    assert not list(tmp_path.glob("page.html*"))


# Calls that can't be carried out: one sentence, and status 2.


def test_a_file_of_other_content_is_refused(tmp_path: Path) -> None:
    (tmp_path / "d.h5").write_bytes(b"no HDF5")
    result = explore("--data", tmp_path / "d.h5", "--output", tmp_path / "page.html")
    assert result.exit_code == 2
    assert "is no array file of galaxies; make one with" in " ".join(result.stderr.split())
    assert not (tmp_path / "page.html").exists()


def test_a_missing_file_is_said_to_be_made_by_prepare(tmp_path: Path) -> None:
    result = explore("--data", tmp_path / "missing.h5", "--output", tmp_path / "page.html")
    assert result.exit_code == 2
    assert "make one with: python -m training prepare" in " ".join(result.stderr.split())


def test_a_file_without_galaxies_is_refused(tmp_path: Path) -> None:
    data = write_data(tmp_path / "d.h5", candels_votes(0), tree=CANDELS)
    result = explore("--data", data, "--output", tmp_path / "page.html")
    assert result.exit_code == 2
    assert "holds no galaxies" in result.stderr


def test_a_model_that_was_named_must_fit(tmp_path: Path, candels_model: Path) -> None:
    data = write_data(tmp_path / "d.h5", candels_votes(3), tree=CANDELS, validation=1)
    other = write_model(tmp_path / "other")
    damaged = tmp_path / "damaged"
    shutil.copytree(candels_model, damaged)
    (damaged / MODEL_FILE).write_bytes(b"no ONNX")
    renamed = tmp_path / "renamed"
    shutil.copytree(damaged, renamed)
    ModelCard.read(renamed).model_copy(update={"sha256": sha256_of(renamed / MODEL_FILE)}).write(renamed)
    wide = write_model(tmp_path / "wide", tree="candels", columns=6, consistent=False)
    for model, complaint in {
        tmp_path: "holds no model with a card",
        other: "tiny wants the tree galaxy-zoo-2",
        damaged: "is not the file that its card describes",
        renamed: "does not run",
        wide: "gives scores of the shape [1, 6], not [1, 5]",
        write_model(tmp_path / "mute", tree="candels", outputs=("votes",)): "does not run on these images",
    }.items():
        result = explore("--data", data, "--model", model, "--output", tmp_path / "page.html")
        assert result.exit_code == 2, model
        assert complaint in " ".join(result.stderr.split())
    assert not list(tmp_path.glob("page.html*"))


def test_a_page_that_cannot_be_written_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_data(tmp_path / "d.h5", candels_votes(3), tree=CANDELS)
    (tmp_path / "file").write_text("")
    for output in (tmp_path, tmp_path / "file" / "page.html"):
        result = explore("--data", data, "--output", output)
        assert result.exit_code == 2
        assert "can't be written" in " ".join(result.stderr.split())

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    result = explore("--data", data, "--output", tmp_path / "page.html")
    assert result.exit_code == 2
    assert "No space left on device; name another place with --output" in " ".join(result.stderr.split())


def test_help_names_every_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    result = explore("--help")
    assert result.exit_code == 0
    for name, setting in ExploreSettings.model_fields.items():
        assert f"--{name}" in result.stdout
        assert f"GALAXYTREE_EXPLORE_{name.upper()}" in result.stdout
        assert setting.description
    assert explore("--galaxies=-1").exit_code == 2
