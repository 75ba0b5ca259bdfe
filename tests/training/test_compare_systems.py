"""The systems that are compared: how they look at galaxies, how large they are, and what they answer."""

import itertools
from collections.abc import Callable
from dataclasses import is_dataclass, replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from galaxytree.decision_tree import load_tree
from galaxytree.imaging import GALAXY_ZOO_FRAMING
from tests.training.galaxies import TREE, draw
from training.augment import Augmentation
from training.batches import Batches
from training.compare.drawn import drawn_galaxies
from training.compare.fitting import Lesson, fit
from training.compare.measuring import accuracy, errors, size
from training.compare.region import region_of_interest
from training.compare.results import Machine, Result, Terms
from training.compare.settings import CompareSettings
from training.compare.system import System, cross_entropy
from training.compare.systems import SYSTEMS
from training.compare.table import table
from training.compare.views import AsOurs, View, nothing
from training.networks.classic.dense import densenet
from training.networks.classic.maxout import MaxoutNetwork
from training.networks.classic.plain import fully_convolutional
from training.networks.classic.regression import Regression
from training.networks.classic.residual import resnet
from training.networks.outputs import OUTPUTS
from training.processes import Process

CANDELS = load_tree("candels")
IMAGES = torch.from_numpy(np.stack([draw(thin=bool(number % 2), seed=number) for number in range(2)]))


def chance(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# The systems.


@pytest.mark.parametrize("system", SYSTEMS.values(), ids=lambda system: system.name)
def test_a_system_scores_galaxies(system: System) -> None:
    tree = CANDELS if system.made_up else TREE
    network = system.network(tree).eval()
    with torch.inference_mode():
        scores = network(system.look(IMAGES, GALAXY_ZOO_FRAMING, None)).numpy()
    assert scores.shape == (2, len(range(len(tree.columns))[system.columns(tree)]))
    assert scores.dtype == np.float32
    assert (scores >= 0).all()
    assert (scores <= 1).all()
    # Its digest is the same in every process, and another for another function.
    for said in (repr(network), repr(system.look) if is_dataclass(system.look) else system.look.__qualname__):
        assert " at 0x" not in said
        assert "<lambda>" not in said
    if system.question:
        np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("name", ["maxout-16-parts", "fully-convolutional", "resnet-18", "densenet-121", "ours"])
def test_systems_that_know_the_tree_keep_its_sums(name: str) -> None:
    system = SYSTEMS[name]
    torch.manual_seed(1)
    network = system.network(TREE).eval()
    with torch.inference_mode():
        TREE.check(network(system.look(IMAGES, GALAXY_ZOO_FRAMING, None)).numpy(), tolerance=1e-5)


@pytest.mark.parametrize("system", SYSTEMS.values(), ids=lambda system: system.name)
def test_training_looks_as_measuring_does_but_for_chance(system: System) -> None:
    plain = system.look(IMAGES, GALAXY_ZOO_FRAMING, None)
    varied, again = (system.look(IMAGES, GALAXY_ZOO_FRAMING, chance()) for _ in range(2))
    assert varied.shape == plain.shape
    assert torch.equal(varied, again)
    assert torch.equal(plain, system.look(IMAGES, GALAXY_ZOO_FRAMING, None))
    assert torch.equal(varied, plain) == (system.learning_rate is None)


@pytest.mark.parametrize(
    ("make", "parameters"),
    [
        (lambda: resnet("resnet-18", 37), 11_176_512),
        (lambda: resnet("resnet-34", 37), 21_284_672),
        (lambda: resnet("resnet-50", 37), 23_508_032),
        (lambda: densenet(37), 6_953_856),
    ],
    ids=["resnet-18", "resnet-34", "resnet-50", "densenet-121"],
)
def test_networks_are_as_large_as_published(make: Callable[[], nn.Sequential], parameters: int) -> None:
    assert sum(each.numel() for each in make()[:-1].parameters()) == parameters


def test_what_is_to_differ_by_the_network_alone_sees_and_forgets_as_ours_does() -> None:
    ours, plain = SYSTEMS["ours"], [each for each in SYSTEMS.values() if each.look == AsOurs(1.0)]
    assert {each.name for each in plain} == {
        *("resnet-18", "resnet-34", "resnet-50", "densenet-121", "fully-convolutional"),
    }
    left_out = [each for each in ours.network(TREE).modules() if isinstance(each, nn.Dropout)]
    for system in plain:
        for seed in (None, 1, 2):
            views, same = (
                each.look(IMAGES, GALAXY_ZOO_FRAMING, None if seed is None else chance(seed)) for each in (system, ours)
            )
            torch.testing.assert_close(views * 255, same)
        assert system.loss is ours.loss
        own = [each for each in system.network(TREE).modules() if isinstance(each, nn.Dropout | nn.Dropout2d)]
        assert [each.p for each in own] == [each.p for each in left_out]


def test_dropout_of_whole_channels_is_dropout_of_pooled_features() -> None:
    network = fully_convolutional(37, dropout=0.5).eval()
    network[-4].train()
    torch.manual_seed(1)
    views = torch.rand(3, 3, 32, 32)
    pooled = network[:-4](views).mean(dim=(2, 3))
    torch.manual_seed(2)
    kept = network[-4](torch.ones(3, 256, 1, 1))
    torch.manual_seed(2)
    last = network[-3]
    assert isinstance(last, nn.Conv2d)
    expected = functional.linear(pooled * kept.flatten(1), last.weight.flatten(1), last.bias)
    torch.testing.assert_close(network(views), expected, atol=1e-5, rtol=1e-4)
    assert 0.3 < (kept == 0).float().mean() < 0.7


def test_a_digest_is_of_what_a_system_is() -> None:
    system = System("one", "", View(100, 8), lambda _: nn.Linear(3, 4))
    network = system.network(TREE)
    digest = system.digest(network)
    # Other weights, names and words leave it alone.
    assert replace(system, name="two", what="other words").digest(system.network(TREE)) == digest
    others = [
        replace(system, look=View(101, 8)),
        replace(system, look=nothing),
        replace(system, loss=cross_entropy),
        replace(system, question="Q1"),
        replace(system, version=2),
    ]
    digests = [each.digest(network) for each in others] + [system.digest(nn.Linear(3, 5))]
    assert len({digest, *digests}) == 7


def test_a_digest_holds_how_far_views_of_ours_vary() -> None:
    ours, network = SYSTEMS["ours"], nn.Identity()
    further = replace(ours, look=AsOurs(augmentation=Augmentation(zoom=1.2)))
    assert ours.digest(network) == replace(ours, look=AsOurs()).digest(network) != further.digest(network)


def test_the_maxout_network_has_the_published_42_million_parameters() -> None:
    assert sum(each.numel() for each in MaxoutNetwork(37).parameters()) == pytest.approx(42e6, rel=0.01)


def test_multiply_adds_are_those_of_all_parts() -> None:
    galaxies = drawn_galaxies(8, 4)

    def counted(network: nn.Module, view: View) -> int:
        system = System("counted", "", view, lambda _: network)
        return size(system, network, galaxies, torch.device("cpu")).multiply_adds

    # One 3 x 3 convolution from 3 to 2 channels over 8 x 8 pixels.
    assert counted(nn.Conv2d(3, 2, 3, padding=1), View(288, 8)) == 3 * 2 * 9 * 64
    parts = nn.Sequential(nn.Flatten(0, 1), nn.Conv2d(3, 2, 3, padding=1))
    assert counted(parts, View(207, 8, parts=True)) == 16 * 3 * 2 * 9 * 64


# How they look.


def test_a_crop_is_in_pixels_of_the_original_picture() -> None:
    pixels = IMAGES.permute(0, 3, 1, 2) / 255
    torch.testing.assert_close(View(288, 144)(IMAGES, GALAXY_ZOO_FRAMING, None), pixels, atol=1e-5, rtol=0)
    inner = View(144, 72)(IMAGES, GALAXY_ZOO_FRAMING, None)
    torch.testing.assert_close(inner, pixels[:, :, 36:108, 36:108], atol=1e-5, rtol=0)
    grey = View(144, 72, grey=True)(IMAGES, GALAXY_ZOO_FRAMING, None)
    torch.testing.assert_close(grey, inner.mean(dim=1, keepdim=True), atol=1e-5, rtol=0)


def orientations(image: Tensor) -> list[Tensor]:
    turned = [torch.rot90(image, quarter, (1, 2)) for quarter in range(4)]
    return [*turned, *(each.flip(2) for each in turned)]


def test_training_turns_by_quarters_and_mirrors() -> None:
    many = IMAGES[1:].expand(64, -1, -1, -1)
    views = View(144, 72)(many, GALAXY_ZOO_FRAMING, chance())
    known = torch.stack(orientations(View(144, 72)(IMAGES[1:], GALAXY_ZOO_FRAMING, None)[0]))
    difference = (views[:, None] - known).abs().amax(dim=(2, 3, 4))
    assert difference.amin(dim=1).max() < 1e-4
    assert set(difference.argmin(dim=1).tolist()) == set(range(8))


def test_rotation_zoom_and_shift_stay_within_their_bounds() -> None:
    spot = torch.zeros(200, 144, 144, 3, dtype=torch.uint8)
    spot[:, 70:74, 70:74] = 255
    views = View(288, 144, shift=10)(spot, GALAXY_ZOO_FRAMING, chance())
    axis = torch.arange(144) - 71.5
    total = views.sum(dim=(1, 2, 3))
    x = (views.sum(dim=(1, 2)) * axis).sum(dim=1) / total
    assert 4 < x.abs().max() <= 5.1
    zoomed = View(288, 144, zoom=1.3)(spot, GALAXY_ZOO_FRAMING, chance()).sum(dim=(1, 2, 3)) / total
    assert 1.3 < zoomed.max() < 1.3**2 * 1.1
    assert zoomed.min() > 1 / (1.3**2 * 1.1)


def test_rotations_to_90_degrees_are_not_quarters_alone() -> None:
    view = View(256, 64, turns=False, rotation=90, mirror=0)
    views = view(IMAGES[1:].expand(16, -1, -1, -1), GALAXY_ZOO_FRAMING, chance())
    assert all((first - second).abs().max() > 0.01 for first, second in itertools.combinations(views, 2))


def test_the_16_parts_are_one_corner_of_the_galaxy_in_8_turns_and_mirrored() -> None:
    view = View(207, 45, parts=True)
    parts = view(IMAGES[1:], GALAXY_ZOO_FRAMING, None)[0]
    assert parts.shape == (16, 3, 45, 45)
    # The first part of a galaxy that has been turned is one of the other parts; eight of them are turned by quarters.
    firsts = [
        view(each.permute(1, 2, 0)[None].contiguous(), GALAXY_ZOO_FRAMING, None)[0, 0]
        for each in orientations(IMAGES[1].permute(2, 0, 1))
    ]
    found = [int((parts - first).abs().amax(dim=(1, 2, 3)).argmin()) for first in firsts]
    assert all((parts[part] - first).abs().max() < 1e-4 for part, first in zip(found, firsts, strict=True))
    assert sorted(found) == [0, 2, 4, 6, 8, 10, 12, 14]
    # The centre of the galaxy lies at the same place in all of them: 34.5 of 69 pixels from the corner.
    centre = parts.mean(dim=1)[:, 33:36, 33:36].mean(dim=(1, 2))
    assert centre.min() > 0.6 * parts.max()


def spots(*places: tuple[int, int, int, int]) -> Tensor:
    """Draw squares, each at row, column, half side and brightness, on a dark and noisy sky."""
    image = np.random.default_rng(1).integers(0, 12, (1, 144, 144, 3)).astype(np.uint8)
    for row, column, half, brightness in places:
        image[0, row - half : row + half, column - half : column + half] = brightness
    return torch.from_numpy(image)


def test_the_region_of_interest_finds_a_galaxy_beside_the_centre() -> None:
    x, y, half = region_of_interest(spots((40, 100, 15, 200)))[0].tolist()
    assert x == pytest.approx(100 / 72 - 1, abs=0.03)
    assert y == pytest.approx(40 / 72 - 1, abs=0.03)
    assert 15 / 72 < half < 1.5 * 15 / 72


def test_the_region_of_interest_prefers_the_centre_and_leaves_other_things_out() -> None:
    x, y, half = region_of_interest(spots((74, 70, 20, 180), (12, 12, 8, 220), (130, 100, 6, 255)))[0].tolist()
    assert (x, y) == (pytest.approx(-2 / 72, abs=0.03), pytest.approx(2 / 72, abs=0.03))
    assert half < 1.5 * 20 / 72


def test_the_region_of_interest_has_bounds() -> None:
    assert region_of_interest(torch.full((1, 144, 144, 3), 7, dtype=torch.uint8))[0].tolist() == [0, 0, 1]
    assert region_of_interest(spots((72, 72, 2, 255)))[0, 2] == pytest.approx(0.2)


def test_a_view_of_the_region_fills_its_square_with_the_galaxy() -> None:
    view = View(0, 50, region=True, grey=True)(spots((40, 100, 15, 200)), GALAXY_ZOO_FRAMING, None)[0, 0]
    assert view[10:40, 10:40].min() > 0.7
    assert view[:2].max() < 0.2
    assert view[:, -2:].max() < 0.2


# What they compute.


def test_a_regression_finds_what_is_linear() -> None:
    random = torch.Generator().manual_seed(1)
    values = torch.rand(50, 3, generator=random)
    votes = values @ torch.tensor([[0.2, 0], [0.1, 0.3], [0, 0.4]]) + torch.tensor([0.1, 0.05])
    votes[::3, 1] = torch.nan
    network = Regression(3, 2)
    network.fit(values, votes)
    torch.testing.assert_close(network(values)[:, 0], votes[:, 0], atol=1e-5, rtol=0)
    known = ~votes[:, 1].isnan()
    torch.testing.assert_close(network(values)[known, 1], votes[known, 1], atol=1e-5, rtol=0)


def test_a_regression_on_nothing_is_the_mean_of_what_is_known() -> None:
    network = Regression(0, 2)
    network.fit(torch.empty(3, 0), torch.tensor([[0.2, torch.nan], [0.6, torch.nan], [torch.nan, torch.nan]]))
    torch.testing.assert_close(network(torch.empty(1, 0)), torch.tensor([[0.4, 0.0]]))


def test_cross_entropy_is_over_galaxies_with_votes() -> None:
    fractions = torch.tensor([[0.5, 0.5], [0.9, 0.1], [0.2, 0.8]])
    votes = torch.tensor([[1.0, 0.0], [torch.nan, 0.1], [0.5, 0.5]])
    expected = (-np.log(0.5) - 0.5 * np.log(0.2) - 0.5 * np.log(0.8)) / 2
    assert cross_entropy(fractions, votes).item() == pytest.approx(expected, abs=1e-6)
    assert cross_entropy(fractions, torch.full((3, 2), torch.nan)).item() == 0


def test_accuracy_is_over_galaxies_with_votes() -> None:
    fractions = np.array([[0.6, 0.4], [0.3, 0.7], [0.6, 0.4]], np.float32)
    votes = np.array([[0.9, 0.1], [0.8, 0.2], [np.nan, np.nan]], np.float32)
    assert accuracy(fractions, votes) == 0.5
    assert np.isnan(accuracy(fractions, np.full((3, 2), np.nan, np.float32)))


def test_drawn_galaxies_are_always_the_same_and_show_what_was_voted() -> None:
    galaxies = drawn_galaxies(200, 50)
    assert galaxies.tree == CANDELS
    assert galaxies.validation.sum() == 50
    CANDELS.check(galaxies.votes)
    drawn_galaxies.cache_clear()
    assert drawn_galaxies(200, 50).sha256 == galaxies.sha256
    # A bright point source makes a bright centre, and what shows nothing is called unclassifiable.
    centre = galaxies.images[:][:, 35:37, 35:37].mean(axis=(1, 2, 3))
    assert np.corrcoef(centre, galaxies.votes[:, CANDELS.index["point_source"]])[0, 1] > 0.5
    light = galaxies.images[:].mean(axis=(1, 2, 3))
    assert np.corrcoef(light, galaxies.votes[:, CANDELS.index["unclassifiable"]])[0, 1] < -0.3


def test_the_network_of_candels_learns_the_made_up_galaxies() -> None:
    galaxies = drawn_galaxies(128, 64)
    settings = CompareSettings(galaxies_seen=192, batch_size=8, precision="float32")
    learning = galaxies.where(galaxies.learning)
    batches = Batches(learning, 8, 1, Process(0, 1, torch.device("cpu")))
    # Narrower, that it may not take minutes.
    system = replace(SYSTEMS["maxout-16-parts-candels"], learning_rate=2e-3)
    torch.manual_seed(1)
    network = nn.Sequential(MaxoutNetwork(len(CANDELS.columns), units=64), OUTPUTS["sigmoid"](CANDELS))
    losses = fit(system, network, Lesson(learning, batches, settings, torch.device("cpu")))
    assert len(losses) == 24
    assert np.mean(losses[-8:]) < 0.85 * np.mean(losses[:4])


def test_independent_fractions_have_no_accuracy_and_their_row_says_that_they_are_made_up() -> None:
    galaxies, system = drawn_galaxies(200, 50), SYSTEMS["maxout-16-parts-candels"]
    found = errors(system, galaxies.votes, galaxies)
    assert found == {"rmse": 0, "rmse_of_question": None, "accuracy": None}
    result = Result(
        system=system.name,
        terms=Terms(
            galaxies_seen=10,
            batch_size=5,
            seed=1,
            precision="bf16",
            learning_rate=1e-3,
            weight_decay=0.02,
            warmup=0.1,
            system_sha256="",
            data_sha256="",
            learning=1024,
            validation=50,
        ),
        commit="unknown",
        **found,
        parameters=42_000_000,
        multiply_adds=1_076_400_000,
        images_per_second=3.2,
        minutes=1.25,
        loss=(0.2, 0.1),
        machine=Machine(device="cuda", gpu="a GPU", threads=1, torch="2"),
    )
    text = table([result])
    assert "| 0.0000 (made-up) | - | 42 M | 1,076 M | 3 | 1.2 | - |" in text
    assert "learnt from 1,024 made-up galaxies" in text
    assert "on 50 others" in text
    assert "from 0.2000 in the first tenth to 0.1000" in text
    assert "Computed on: a GPU, PyTorch 2." in text
