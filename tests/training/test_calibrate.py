"""Error bars hold what they promise, and pictures that are no galaxies are noticed."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from galaxytree.card import ModelCard
from galaxytree.decision_tree import load_tree
from galaxytree.imaging import GALAXY_ZOO_FRAMING
from tests.training.conftest import TINY, Exported, Run, training
from tests.training.galaxies import ROUND, THIN, draw, votes_of
from training import calibrate as calibrate_module
from training.arrays import ArrayWriter, read_galaxies
from training.calibrate import (
    SMOOTHINGS,
    CalibrateSettings,
    _best,
    _fitted,
    _pooled,
    _scale,
    _usual,
    calibrate,
    calibrated,
)
from training.coverage import INTERVALS, coverage
from training.evaluate import evaluate, flagged_in
from training.even import uneven
from training.export import TOLERANCES, _write
from training.networks.classifier import GalaxyClassifier, View, ViewClassifier
from training.networks.error_bars import ASKED, RARE, ErrorBars
from training.networks.out_of_domain import OutOfDomain
from training.networks.smoothing import smoothed
from training.plots import plot_reliability
from training.predict import predict_onnx
from training.runs import RunError
from training.seen import Seen
from training.strange import STRANGE, strange
from training.trained import trained

TREE = load_tree("galaxy-zoo-2")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 galaxies, 20 of them for validation, 30 for calibration, and 10 of which nothing is known."""
    path = tmp_path_factory.mktemp("calibrate") / "galaxies.h5"
    random = np.random.default_rng(1)
    with ArrayWriter(path, TREE, GALAXY_ZOO_FRAMING, 120) as writer:
        for number in range(120):
            thin, sure = bool(number % 2), random.uniform(0.6, 1)
            votes = sure * votes_of(*(THIN if thin else ROUND)) + (1 - sure) * votes_of(*(ROUND if thin else THIN))
            if number < 10:
                votes = np.full(37, np.nan, np.float32)
            image = draw(thin=thin, seed=number)
            writer.append(f"g-{number}", image, votes, validation=number >= 100, calibration=70 <= number < 100)
    return path


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("runs") / "run"
    result = training("train", "--data", data, "--run", folder, *TINY)
    assert result.exit_code == 0, result.output
    return Run(folder, data, training("calibrate", "--run", folder, "--data", data))


@pytest.fixture(scope="module")
def exported(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    models = tmp_path_factory.mktemp("models")
    result = training("export", "--run", run.folder, "--data", run.data, "--models", models, "--name", "bars")
    assert result.exit_code == 0, result.output
    return Exported(models / "bars", run.data, result)


def test_what_was_fitted_and_on_whom_is_said(run: Run) -> None:
    assert run.result.exit_code == 0, run.result.output
    assert "fitted to 60 galaxies, scaled on 30 others; on these themselves:" in run.result.stdout
    facts = json.loads((run.folder / "calibration.json").read_text("utf-8"))
    assert facts["calibrated_on"] == 30
    assert facts["coverage_on_those"]["all"]["votes"] == 30 * 37


@pytest.fixture
def hastily(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fit error bars and the flag in no time, where it does not matter what they are."""
    monkeypatch.setattr(calibrate_module, "_EPOCHS", 1)
    monkeypatch.setattr(calibrate_module, "_DRAWN", 2)
    monkeypatch.setattr(OutOfDomain, "fit", lambda *_: None)


@pytest.mark.usefixtures("hastily")
def test_the_smoothing_is_the_best_of_those_tried_on_the_galaxies_set_aside_for_it(run: Run, tmp_path: Path) -> None:
    facts = json.loads((run.folder / "calibration.json").read_text("utf-8"))
    errors = {float(weight): error for weight, error in facts["rmse_on_those"].items()}
    assert tuple(errors) == SMOOTHINGS
    assert errors[facts["smoothing"]] == min(errors.values())
    best = f"smoothing {facts['smoothing']:g}: RMSE {min(errors.values())} on the galaxies set aside, taken"
    assert best in run.result.stdout
    # Whatever the others' votes are.
    galaxies = read_galaxies(run.data)
    votes = galaxies.votes.copy()
    votes[galaxies.validation] = np.nan
    votes[galaxies.learning] = votes[galaxies.learning][:, ::-1]
    other = shutil.copytree(run.folder, tmp_path / "run")
    again = calibrate(CalibrateSettings(run=other, data=run.data), replace(galaxies, votes=votes))
    assert again["rmse_on_those"] == facts["rmse_on_those"]
    # Theirs do tell.
    votes[galaxies.calibration] = votes[galaxies.calibration][::-1]
    again = calibrate(CalibrateSettings(run=other, data=run.data), replace(galaxies, votes=votes))
    assert again["rmse_on_those"] != facts["rmse_on_those"]


@pytest.mark.usefixtures("hastily")
def test_the_network_is_smoothed_as_the_calibration_says(run: Run, tmp_path: Path) -> None:
    images = torch.from_numpy(np.stack([draw(thin=True, seed=1), draw(thin=False, seed=2)]))
    other = shutil.copytree(run.folder, tmp_path / "run")
    result = training("calibrate", "--run", other, "--data", run.data, "--smoothing=0.2")
    assert "smoothing 0.2: RMSE" in result.stdout
    assert result.stdout.count("smoothing") == 1
    plain = trained(other, TREE)[0]
    network = calibrated(other, plain)
    assert network is not None
    _write(network, GALAXY_ZOO_FRAMING, tmp_path / "model.onnx", {}, TREE)
    by_onnx = predict_onnx(tmp_path / "model.onnx", images.numpy()).scores
    state = torch.load(other / "calibration.pt", weights_only=True)
    del state["smoothing"]
    torch.save(state, other / "calibration.pt")
    from_before = calibrated(other, plain)
    assert from_before is not None
    with torch.inference_mode():
        wanted = GalaxyClassifier(plain.view, smoothed(plain.classifier, 0.2))(images)
        torch.testing.assert_close(network(images)[0], wanted)
        np.testing.assert_allclose(by_onnx, wanted.numpy(), rtol=0, atol=TOLERANCES["scores"])
        assert not torch.equal(wanted, plain(images))
        torch.testing.assert_close(from_before(images)[0], plain(images), msg="runs had no smoothing once")


def test_the_least_smoothing_is_taken_where_nothing_tells_them_apart() -> None:
    assert _best({0.0: 0.2, 0.1: 0.1, 0.2: 0.1}) == 0.1
    assert _best({0.0: np.nan, 0.1: np.nan}) == 0.0


def test_the_model_file_gives_error_bars_and_the_flag(exported: Exported) -> None:
    session = onnxruntime.InferenceSession(exported.folder / "model.onnx", providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == [
        "scores",
        "uncertainty",
        "uncertainty_95",
        "out_of_domain",
        "evidence",
    ]
    images = np.stack([draw(thin=True, seed=1), draw(thin=False, seed=2)])
    scores, uncertainty, uncertainty_95, out_of_domain, _ = session.run(None, {"images": images})
    TREE.check(scores, tolerance=1e-5)
    assert uncertainty.shape == (2, 37)
    assert uncertainty.dtype == np.float32
    assert (uncertainty > 0).all()
    assert uncertainty_95.shape == (2, 37)
    assert out_of_domain.shape == (2,)
    assert ((out_of_domain >= 0) & (out_of_domain <= 1)).all()


def test_what_an_image_gets_does_not_depend_on_its_batch(exported: Exported) -> None:
    model = onnx.load(exported.folder / "model.onnx")
    assert "Log" in {node.op_type for node in model.graph.node}
    assert uneven(model) == []


def test_the_card_says_how_far_they_hold(exported: Exported) -> None:
    card = ModelCard.read(exported.folder)
    metrics = card.metrics
    assert card.provenance["calibration"]["smoothing"] in SMOOTHINGS
    assert metrics["error_bars"]["promised"] == [0.68, 0.95]
    assert metrics["error_bars"]["one_view"]["all"]["votes"] == 20 * 37
    assert set(metrics["out_of_domain"]) == {"validation", *STRANGE, "galaxies without a label"}
    assert metrics["eight_views"]["rmse"] > 0
    for views, name in ((1, "flagged"), (8, "flagged_with_eight_views")):
        galaxies = read_galaxies(exported.data)
        again = flagged_in(exported.folder / "model.onnx", galaxies, views)
        for what, (part, count) in again.items():
            told = metrics["out_of_domain"][what]
            assert (told[name], told["pictures"]) == (pytest.approx(part, abs=1e-5), count)
        evaluation, _ = evaluate(exported.folder, galaxies.where(galaxies.validation), views)
        assert metrics["out_of_domain"]["validation"][name] == pytest.approx(evaluation.flagged, abs=1e-5)


def test_all_of_it_is_evaluated(exported: Exported, tmp_path: Path) -> None:
    options: list[str | Path] = ["--reliability", tmp_path / "bars.svg", "--plot", tmp_path / "scores.png"]
    result = training("evaluate", exported.folder, "--data", exported.data, *options)
    assert result.exit_code == 0, result.output
    assert "of 20 galaxies, one view" in result.stdout
    assert "of 20 galaxies, 8 views" in result.stdout
    assert "in their 95% interval" in result.stdout
    assert "x noise" in result.stdout
    assert "x galaxies without a label" in result.stdout
    assert "<!-- Q11 -->" in (tmp_path / "bars.svg").read_text("utf-8")
    figures = json.loads(training("evaluate", exported.folder, "--data", exported.data, "--format=json").stdout)
    assert figures["views"] == 1
    assert figures["other_views"][0]["views"] == 8
    assert figures["strange"]["noise"]["pictures"] == 50
    eight = training("evaluate", exported.folder, "--data", exported.data, "--format=json", "--views=8")
    assert json.loads(eight.stdout)["rmse"] == pytest.approx(figures["other_views"][0]["rmse"])


def test_eight_views_give_the_mean_and_the_root_of_the_mean_square(exported: Exported) -> None:
    image = draw(thin=True, seed=3)[None]
    path = exported.folder / "model.onnx"
    eight = predict_onnx(path, image, 8)
    turned = [np.rot90(each, quarter, axes=(1, 2)) for each in (image, image[:, :, ::-1]) for quarter in range(4)]
    single = [predict_onnx(path, np.ascontiguousarray(each)) for each in turned]
    assert eight.uncertainty is not None
    assert eight.out_of_domain is not None
    np.testing.assert_allclose(eight.scores, np.mean([each.scores for each in single], axis=0), atol=1e-6)
    squares = np.mean([np.square(each.uncertainty) for each in single], axis=0)  # type: ignore[arg-type]
    np.testing.assert_allclose(eight.uncertainty, np.sqrt(squares), atol=1e-6)
    mean = np.mean([each.out_of_domain for each in single], axis=0)  # type: ignore[arg-type]
    np.testing.assert_allclose(eight.out_of_domain, mean, atol=1e-6)


def test_a_run_of_other_data_and_data_without_galaxies_set_aside_are_refused(run: Run) -> None:
    galaxies = read_galaxies(run.data)
    settings = CalibrateSettings(run=run.folder, data=run.data)
    with pytest.raises(RunError, match="is not the file that"):
        calibrate(settings, replace(galaxies, sha256="0" * 64))
    with pytest.raises(RunError, match="prepare it with --calibration-part"):
        calibrate(settings, replace(galaxies, calibration=np.zeros(120, np.bool_)))


def test_error_bars_of_other_weights_are_refused(data: Path, run: Run, tmp_path: Path) -> None:
    other = tmp_path / "run"
    shutil.copytree(run.folder, other)
    weights = torch.load(other / "weights.pt", weights_only=True)
    weights["average"]["classifier.bias"] += 0.1
    torch.save(weights, other / "weights.pt")
    refused = training("export", "--run", other, "--data", data, "--models", tmp_path)
    assert refused.exit_code == 2
    assert "was calibrated with other weights; do it again" in " ".join(refused.stderr.split())
    (other / "calibration.pt").write_bytes(b"no tensors")
    refused = training("export", "--run", other, "--data", data, "--models", tmp_path)
    assert refused.exit_code == 2
    assert "calibration.pt is damaged" in " ".join(refused.stderr.split())


@pytest.mark.parametrize("count", [1, 7])
def test_the_model_file_says_what_the_network_says(exported: Exported, run: Run, count: int) -> None:
    network = calibrated(run.folder, trained(run.folder, TREE)[0])
    assert network is not None
    images = np.stack([draw(thin=bool(number % 2), seed=number) for number in range(count)])
    with torch.inference_mode():
        wanted = network(torch.from_numpy(images))
    session = onnxruntime.InferenceSession(exported.folder / "model.onnx", providers=["CPUExecutionProvider"])
    for found, each, far in zip(
        session.run([*TOLERANCES], {"images": images}), wanted, TOLERANCES.values(), strict=True
    ):
        np.testing.assert_allclose(found, each.numpy(), rtol=0, atol=far)
    assert (wanted[2] >= wanted[1]).all()


def test_scores_that_need_not_add_up_are_not_exported(data: Path, tmp_path: Path) -> None:
    options = [*TINY, "--epochs=1", "--output=sigmoid"]
    assert training("train", "--data", data, "--run", tmp_path / "run", *options).exit_code == 0
    refused = training("export", "--run", tmp_path / "run", "--data", data, "--models", tmp_path)
    assert refused.exit_code == 2
    assert "whose scores need not add up" in " ".join(refused.stderr.split())
    refused = training("calibrate", "--run", tmp_path / "run", "--data", data)
    assert refused.exit_code == 2
    assert "whose scores need not add up" in " ".join(refused.stderr.split())


def test_a_model_without_error_bars_has_none_to_draw(data: Path, run: Run, tmp_path: Path) -> None:
    plain = tmp_path / "run"
    plain.mkdir()
    for name in ("run.json", "weights.pt"):
        (plain / name).write_bytes((run.folder / name).read_bytes())
    assert training("export", "--run", plain, "--data", data, "--models", tmp_path, "--name=plain").exit_code == 0
    refused = training("evaluate", tmp_path / "plain", "--data", data, "--reliability", tmp_path / "x.png")
    assert refused.exit_code == 2
    assert "gives no error bars to draw" in refused.stderr


# The arithmetic, on votes whose spread is known.


def votes_with_spread(count: int, seed: int = 0) -> tuple[Seen, torch.Tensor, torch.Tensor]:
    """Make scores, votes that scatter about them as the first feature says, and that spread."""
    random = torch.Generator().manual_seed(seed)
    features = torch.randn(count, 8, generator=random)
    scores = torch.full((count, 37), 0.5)
    spread = (0.05 * torch.exp(0.5 * features[:, :1])).expand(-1, 37)
    votes = scores + spread * torch.randn(count, 37, generator=random)
    return Seen(features, features, scores), votes, spread


def test_the_spread_of_votes_is_found_image_by_image(data: Path) -> None:
    torch.manual_seed(1)
    seen, votes, _ = votes_with_spread(2000)
    bars = _fitted(read_galaxies(data), seen, votes)
    other, _, wanted = votes_with_spread(500, seed=1)
    with torch.no_grad():
        found = bars.spread(other.features, other.scores)
    assert (found / wanted).log().abs().median() < 0.1
    assert np.corrcoef(found[:, 0], wanted[:, 0])[0, 1] > 0.9


@pytest.mark.parametrize("wider", [1.0, 1.5])
def test_intervals_hold_what_they_promise_on_galaxies_that_were_kept(wider: float) -> None:
    seen, votes, spread = votes_with_spread(4000)
    bars = ErrorBars(TREE, 8, 4).eval()
    # Far too narrow, and the votes of unseen galaxies scatter more than those of the ones that were learnt from.
    bars.spread = lambda features, _: 0.5 * spread[: len(features)]  # type: ignore[method-assign, assignment]
    kept = 0.5 + wider * (votes - 0.5)
    _scale(bars, (seen, votes), (seen, kept))
    with torch.no_grad():
        narrow, wide = bars(seen.features, seen.scores)
    held = coverage(TREE, seen.scores.numpy(), (narrow.numpy(), wide.numpy()), kept.numpy())
    for question in ("all", *TREE.slices):
        assert held[question]["held"] == pytest.approx([0.68, 0.95], abs=0.012), question
    assert (narrow / spread).median().item() == pytest.approx(wider, rel=0.03)


def test_a_question_counts_by_itself_as_far_as_it_is_known() -> None:
    seen, votes, spread = votes_with_spread(4000)
    bars = ErrorBars(TREE, 8, 4).eval()
    bars.spread = lambda features, _: spread[: len(features)]  # type: ignore[method-assign, assignment]
    kept = votes.clone()
    # Both scatter twice as far; one is known of all galaxies, the other of five.
    for question in ("Q1", "Q6"):
        own = TREE.slices[question]
        kept[:, own] = 0.5 + 2 * (votes[:, own] - 0.5)
    kept[5:, TREE.slices["Q6"]] = torch.nan
    torch.manual_seed(1)
    _scale(bars, (seen, votes), (seen, kept))
    with torch.no_grad():
        narrow, _ = bars(seen.features, seen.scores)
    wider = {question: (narrow / spread)[:, own].median().item() for question, own in TREE.slices.items()}
    assert wider["Q1"] == pytest.approx(2, rel=0.03)
    assert 1 <= wider["Q6"] < 1.7
    assert wider["Q7"] == pytest.approx(1, rel=0.03)


@pytest.mark.parametrize(
    ("found", "mean", "between"),
    [
        ([], 0, 0),
        ([(0.3, 0.1)], 0.3, 0),
        # No further apart than their errors.
        ([(0.1, 1.0), (0.2, 1.0), (0.3, 1.0)], 0.2, 0),
        # By hand: weights 1, 1, 2; mean 2.25; Q = 6.75; C = 4 - 6 / 4 = 2.5; (6.75 - 2) / 2.5 = 1.9.
        ([(0.0, 1.0), (3.0, 1.0), (3.0, 0.5)], (3 / 2.9 + 3 / 2.4) / (2 / 2.9 + 1 / 2.4), 1.9),
    ],
)
def test_measurements_are_pooled_with_random_effects(
    found: list[tuple[float, float]], mean: float, between: float
) -> None:
    assert _pooled(found) == pytest.approx((mean, between), abs=1e-9)


def test_a_question_nobody_kept_was_asked_is_widened_as_all_are() -> None:
    seen, votes, spread = votes_with_spread(4000)
    bars = ErrorBars(TREE, 8, 4).eval()
    bars.spread = lambda features, _: spread[: len(features)]  # type: ignore[method-assign, assignment]
    kept = 0.5 + 1.5 * (votes - 0.5)
    kept[:, TREE.slices["Q8"]] = torch.nan
    _scale(bars, (seen, votes), (seen, kept))
    with torch.no_grad():
        narrow, _ = bars(seen.features, seen.scores)
    assert (narrow / spread)[:, TREE.slices["Q8"]].median().item() == pytest.approx(1.5, rel=0.03)


def test_intervals_change_steadily_with_the_weight_of_a_question() -> None:
    bars = ErrorBars(TREE, 8, 4).eval()
    bars.spread = lambda _, scores: torch.ones_like(scores)  # type: ignore[method-assign, assignment]
    bars.factors[:, 1] = 3.0
    scores = torch.zeros(5, 37)
    scores[:, TREE.index["Class1.1"]] = torch.tensor([0.0, RARE, (RARE + ASKED) / 2, ASKED, 1.0])
    with torch.no_grad():
        narrow, wide = bars(torch.zeros(5, 8), scores)
    assert narrow[:, TREE.index["Class7.1"]].tolist() == pytest.approx([1, 1, 2, 3, 3])
    assert wide[:, TREE.index["Class1.1"]].tolist() == pytest.approx([3] * 5), "the first question is always asked"


def test_coverage_counts_only_votes_that_are_known_and_questions_that_are_asked() -> None:
    scores = np.stack([votes_of(*ROUND), votes_of(*THIN)])
    votes, narrow, wide = scores + 0.1, np.full_like(scores, 0.09), np.full_like(scores, 0.11)
    votes[0, TREE.index["Class7.1"]] = np.nan
    found = coverage(TREE, scores, (narrow, wide), votes)
    assert found["all"] == {"held": [0.0, 1.0], "votes": 73}
    assert found["Q7"] == {"held": [0.0, 1.0], "votes": 2}, "one galaxy is asked, and one of its votes is not known"
    assert found["Q10"] == {"held": None, "votes": 0}
    assert [part for part, _ in INTERVALS] == [0.68, 0.95]


def test_the_flag_is_a_distance_from_what_is_usual() -> None:
    random = torch.Generator().manual_seed(1)
    mix = torch.randn(20, 20, generator=random)
    usual = torch.randn(3000, 20, generator=random) @ mix
    flag = OutOfDomain(20, 19)
    flag.fit(usual)
    exact = ((usual - usual.mean(0)) @ torch.linalg.pinv(torch.cov(usual.T)) * (usual - usual.mean(0))).sum(1)
    # All but one of the axes are kept, and the last one by itself is the rest: Mahalanobis' distance, up to scaling.
    assert np.corrcoef(flag.distance(usual), exact)[0, 1] > 0.9
    flag.usual.copy_(torch.quantile(flag.distance(usual), 0.99))
    assert (flag(usual) > 0.5).float().mean().item() == pytest.approx(0.01, abs=0.001)
    assert (flag(usual * 10) > 0.5).float().mean() > 0.99


def test_what_is_the_same_of_all_does_not_decide_by_its_last_digits() -> None:
    random = torch.Generator().manual_seed(1)
    usual = torch.randn(3000, 20, generator=random)
    usual[:, 7] = 1e-3
    flag = OutOfDomain(20, 10)
    flag.fit(usual)
    # As far as the spread of a channel that is the same everywhere was off, from one runtime to another.
    off = usual.clone()
    off[:, 7] += 6e-4
    torch.testing.assert_close(flag.distance(off), flag.distance(usual), rtol=0.01, atol=0.01)


@pytest.mark.parametrize("false_alarms", [0.01, 0.05])
def test_as_many_false_alarms_are_expected_as_are_allowed(false_alarms: float) -> None:
    random = torch.Generator().manual_seed(1)
    learnt = torch.randn(20_000, generator=random).exp()
    # Those that were not learnt from lie further out, and are spread wider.
    unseen = (0.3 + 1.2 * torch.randn(20_600, generator=random)).exp()
    usual = _usual(learnt, unseen[:600], false_alarms)
    assert (unseen[600:] > usual).float().mean().item() == pytest.approx(false_alarms, rel=0.3)


@pytest.mark.parametrize("kind", STRANGE)
def test_strange_pictures_are_always_the_same_and_no_two_alike(kind: str) -> None:
    pictures = strange(kind, 6, 64)
    assert pictures.shape == (6, 64, 64, 3)
    assert pictures.dtype == np.uint8
    np.testing.assert_array_equal(pictures, strange(kind, 6, 64))
    assert len({picture.tobytes() for picture in pictures}) == 6


@pytest.mark.parametrize("network", ["efficientnet-lite0", "large-kernel"])
def test_statistics_do_not_change_what_is_seen(network: str) -> None:
    classifier = ViewClassifier(TREE, network).eval()
    views = View(64, 64)(torch.from_numpy(strange("noise", 2, 64)))
    with torch.inference_mode():
        features, statistics = classifier.with_statistics(views)
        torch.testing.assert_close(features, classifier.features(views))
    assert statistics.shape[0] == 2
    assert statistics.shape[1] > features.shape[1]
    assert torch.isfinite(statistics).all()


def test_statistics_are_means_and_spreads_of_every_level() -> None:
    classifier = ViewClassifier(TREE, "efficientnet-lite0").eval()
    views = View(64, 64)(torch.from_numpy(strange("text", 2, 64)))
    with torch.inference_mode():
        features, levels = classifier.backbone.with_levels((views - 127) / 128)
        _, statistics = classifier.with_statistics(views)
    means = torch.cat([level.mean(dim=(2, 3)) for level in levels], dim=1)
    spreads = torch.cat([level.double().var(dim=(2, 3), correction=0).add(1e-6).sqrt() for level in levels], dim=1)
    torch.testing.assert_close(statistics, torch.cat([means, spreads.float(), features], dim=1), rtol=1e-3, atol=1e-4)


def test_reliability_of_a_single_galaxy_is_drawn(tmp_path: Path) -> None:
    scores = votes_of(*ROUND)[None]
    halves = (np.full_like(scores, 0.1), np.full_like(scores, 0.2))
    plot_reliability(TREE, scores, halves, scores + 0.05, tmp_path / "one.png")
    assert (tmp_path / "one.png").stat().st_size > 5000
