"""The numbers behind the page of `explore`, where the answer is known."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import onnx
import pytest
from matplotlib.figure import Figure
from onnx import TensorProto, helper, numpy_helper

from galaxytree.decision_tree import load_tree
from tests.training.galaxies import ROUND, THIN, votes_of
from training.evaluate import ModelFileError
from training.explore.calibration import Reliability
from training.explore.content import counted, number
from training.explore.correlations import correlation
from training.explore.embed import drawing, drawn_for_the_page
from training.explore.examples import structured, surest
from training.explore.first_layer import _as_colours, first_layer_of
from training.explore.mistakes import Paths, row_errors, worst
from training.explore.population import Spread
from training.explore.uncertainty import deviations
from training.predict import Predictions

TREE, CANDELS = load_tree("galaxy-zoo-2"), load_tree("candels")
NAN = np.nan


def test_correlations_of_known_columns() -> None:
    first = np.arange(8, dtype=np.float32)
    votes = np.stack([first, 2 * first + 1, -first, np.ones(8, np.float32), [1, -1, -1, 1, 1, -1, -1, 1]], axis=1)
    table = correlation((votes / 100).astype(np.float32))
    assert table[:3, :3] == pytest.approx(np.array([[1, 1, -1], [1, 1, -1], [-1, -1, 1]]), abs=1e-6)
    assert table[4, :3] == pytest.approx(np.zeros(3), abs=1e-6)
    # A column that never varies goes with nothing, not even with itself.
    assert np.isnan(table[3]).all()
    assert np.isnan(table[:, 3]).all()


def test_correlations_use_the_rows_that_have_both_votes(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3)
    votes = random.random((50, 4), np.float32)
    votes[:, 1] += votes[:, 0]
    votes[random.random((50, 4)) < 0.3] = NAN
    votes[2:, 3] = NAN
    # In several blocks.
    monkeypatch.setattr("training.explore.correlations._ROWS_AT_A_TIME", 7)
    table = correlation(votes)
    both = np.isfinite(votes[:, 0]) & np.isfinite(votes[:, 1])
    assert table[0, 1] == pytest.approx(np.corrcoef(votes[both, 0], votes[both, 1])[0, 1], abs=1e-6)
    assert table == pytest.approx(table.T, nan_ok=True)
    # Two galaxies always lie on a line.
    assert np.isnan(table[3]).all()


def test_the_spread_of_a_column() -> None:
    spread = Spread.of(np.array([0, 0.25, NAN, 0.5, 0.75, 1], np.float32))
    assert (spread.known, spread.mean, spread.majority) == (5, 0.5, 0.4)
    assert (spread.low, spread.high) == pytest.approx((0.1, 0.9))
    assert spread.deviation == pytest.approx(np.std([0, 0.25, 0.5, 0.75, 1]))
    assert Spread.of(np.full(3, NAN, np.float32)).known == 0


def test_the_surest_row_of_each_column() -> None:
    votes = np.array([[0.1, NAN, 0, 0.7], [0.4, NAN, 0, 0.7], [NAN, NAN, 0, 0.2]], np.float32)
    assert surest(votes) == [1, None, None, 0]


def test_the_galaxy_for_the_filters_is_the_one_with_most_structure() -> None:
    spiral = votes_of("Class1.2", "Class2.2", "Class3.1", "Class4.1", "Class10.1", "Class11.2", "Class5.2", "Class6.2")
    votes = np.stack([votes_of(*ROUND), votes_of(*THIN), spiral, np.full(37, NAN, np.float32)])
    assert structured(TREE, votes) == 2
    assert structured(TREE, votes[3:]) == 0


def test_errors_of_rows_count_what_is_known() -> None:
    scores = np.zeros((4, 4), np.float32)
    votes = np.array([[0, 0, 0, 0], [1, 0, 0, 0], [NAN, NAN, 0.6, 0.8], [NAN] * 4], np.float32)
    assert row_errors(scores, votes) == pytest.approx([0, 0.5, np.sqrt(0.5), NAN], nan_ok=True)
    assert worst(scores, votes) == [2, 1, 0]


def test_paths_are_compared_as_far_as_votes_are_known() -> None:
    thin, smooth = votes_of(*THIN), votes_of(*ROUND)
    assert Paths.of(TREE, thin, thin).apart == 0
    apart = Paths.of(TREE, thin, smooth)
    assert apart.votes == ("Class1.1", "Class7.1", "Class6.2")
    assert apart.scores == ("Class1.2", "Class2.1", "Class9.1", "Class6.2")
    assert (apart.apart, apart.parting(TREE)) == (1, "Q1")
    other = votes_of("Class1.2", "Class2.1", "Class9.3", "Class6.2")
    assert Paths.of(TREE, other, thin).parting(TREE) == "Q9"
    thin[TREE.slices["Q9"]] = NAN
    known = Paths.of(TREE, other, thin)
    assert known.votes == known.scores == ("Class1.2", "Class2.1")
    assert known.apart == 0


def test_components_that_exclude_nothing_are_compared_one_by_one() -> None:
    votes = np.array([0.9, 0.6, NAN, 0.1, 0], np.float32)
    scores = np.array([0.9, 0.2, 0.9, 0.7, 0], np.float32)
    paths = Paths.of(CANDELS, scores, votes)
    assert paths.votes == ("spheroid", "disk")
    assert paths.scores == ("spheroid", "point_source")
    assert paths.apart == pytest.approx(0.6)
    assert paths.parting(CANDELS) == "Q1"


def test_reliability_has_the_means_of_each_bin() -> None:
    scores = np.array([[0.02, 0.08, 0.55], [1.0, 0.95, 0.5]], np.float32)
    votes = np.array([[0.1, 0.3, 0.5], [0.8, NAN, 0.7]], np.float32)
    reliability = Reliability.of(scores, votes)
    assert reliability.counts.tolist() == [2, 2, 1]
    assert reliability.scores == pytest.approx([0.05, 0.525, 1])
    assert reliability.votes == pytest.approx([0.2, 0.6, 0.8])
    assert Reliability.of(scores[:0], votes[:0]).counts.size == 0


def test_deviations_are_in_units_of_the_error() -> None:
    predictions = Predictions(np.full((1, 3), 0.5, np.float32), np.array([[0.1, 0.2, 0.5]], np.float32))
    votes = np.array([[0.6, 0.1, NAN]], np.float32)
    assert deviations(predictions, votes)[0] == pytest.approx([1, -2, NAN], abs=1e-5, nan_ok=True)


def test_errors_of_nothing_cover_nothing() -> None:
    predictions = Predictions(np.zeros((1, 4), np.float32), np.array([[0, NAN, -1, 0.5]]).astype(np.float32))
    votes = np.full((1, 4), 0.25, np.float32)
    assert deviations(predictions, votes)[0] == pytest.approx([NAN, NAN, NAN, 0.5], nan_ok=True)
    with pytest.raises(ValueError, match="no error bars"):
        deviations(Predictions(predictions.scores), votes)


def convolution(path: Path, filters: "np.typing.NDArray[np.float32]") -> Path:
    """Write a model of one convolution."""
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("Transpose", ["floats"], ["planes"], perm=[0, 3, 1, 2]),
            helper.make_node("Conv", ["planes", "filters"], ["answers"]),
            helper.make_node("ReduceMean", ["answers", "axes"], ["scores"], keepdims=0),
        ],
        "convolution",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", 4, 4, 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", len(filters)])],
        [numpy_helper.from_array(filters, "filters"), numpy_helper.from_array(np.array([2, 3], np.int64), "axes")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


def test_filters_and_responses_are_those_of_the_file(tmp_path: Path) -> None:
    # The first filter is the red light of a pixel, the second twice the difference of green from its neighbour's.
    filters = np.zeros((2, 3, 1, 2), np.float32)
    filters[0, 0, 0, 0] = 1
    filters[1, 1, 0] = (2, -2)
    image = np.random.default_rng(2).integers(0, 256, (4, 4, 3), np.uint8)
    layer = first_layer_of(convolution(tmp_path / "model.onnx", filters), image)
    assert layer is not None
    assert (layer.filters == filters).all()
    light = image.astype(np.float32)
    assert layer.responses[0] == pytest.approx(light[:, :3, 0])
    assert layer.responses[1] == pytest.approx(2 * (light[:, :3, 1] - light[:, 1:, 1]))


def test_filters_of_one_channel_are_grey_and_of_three_in_colour() -> None:
    grey = _as_colours(np.array([[[1, -1, 0]]], np.float32))
    assert grey.tolist() == [[[255] * 3, [0] * 3, [128] * 3]]
    coloured = _as_colours(np.array([2, 0, -1], np.float32).reshape(3, 1, 1))
    assert coloured.tolist() == [[[255, 128, 64]]]
    assert (_as_colours(np.zeros((3, 2, 2), np.float32)) == 128).all()


def test_a_model_that_does_not_take_the_image_is_named(tmp_path: Path) -> None:
    path = convolution(tmp_path / "model.onnx", np.ones((1, 3, 1, 1), np.float32))
    with pytest.raises(ModelFileError, match=r"model\.onnx does not run"):
        first_layer_of(path, np.zeros((5, 5, 3), np.uint8))


def test_drawings_are_text_in_the_page_that_carries_their_description() -> None:
    with drawn_for_the_page():
        figure = Figure(figsize=(2, 1))
        axes = figure.subplots()
        axes.plot([0, 1], color="#0172b3")
        axes.set_title("<b> $x$ & y")
    before = mpl.rcParams["svg.fonttype"]
    with drawn_for_the_page():
        drawn = [drawing(figure, 'a "line" <up>').svg for _ in range(2)]
    assert mpl.rcParams["svg.fonttype"] == before
    for svg in drawn:
        assert svg.startswith(
            '<svg viewBox="0 0 144 72" width="192" role="img" aria-label="a &#34;line&#34; &lt;up&gt;">'
        )
        assert "&lt;b&gt; $x$ &amp; y" in svg
        assert "stroke: var(--votes)" in svg
        assert "http" not in svg
    assert drawn[0] != drawn[1]


def test_counts_and_numbers_read_well() -> None:
    assert [counted(each, "galaxy") for each in (0, 1, 2000)] == ["0 galaxies", "1 galaxy", "2,000 galaxies"]
    assert counted(2, "vote") == "2 votes"
    assert [number(0.12345), number(NAN)] == ["0.123", "–"]  # noqa: RUF001  (a dash)
