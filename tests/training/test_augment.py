"""Random views: galaxies turned, mirrored, scaled, shifted and brightened, and nothing else."""

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.training.galaxies import draw
from training.augment import Augmentation
from training.networks.classifier import View

SIDE = 144
OFF = {"rotation": 0.0, "mirror": 0.0, "zoom": 1.0, "shift": 0.0, "brightness": 1.0}


def images(count: int = 4) -> Tensor:
    return torch.from_numpy(np.stack([draw(thin=bool(seed % 2), seed=seed, size=SIDE) for seed in range(count)]))


def spot(x: float, y: float, sigma: float = 3.0) -> Tensor:
    """Draw one image with a spot at a place in pixels from the centre, y downwards."""
    down, right = torch.meshgrid(*[torch.arange(SIDE) + 0.5 - SIDE / 2] * 2, indexing="ij")
    light = 200 * torch.exp(-((right - x) ** 2 + (down - y) ** 2) / (2 * sigma**2))
    return light.to(torch.uint8)[None, ..., None].expand(1, SIDE, SIDE, 3).contiguous()


def centre_of_light(view: Tensor) -> tuple[float, float]:
    """Return the centre of light in pixels of the view from its centre, y downwards."""
    light = view[0, 0]
    along = torch.arange(light.shape[0]) + 0.5 - light.shape[0] / 2
    return float((light.sum(0) * along).sum() / light.sum()), float((light.sum(1) * along).sum() / light.sum())


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def looked_at(given: Tensor, resolution: int = SIDE, crop: int = SIDE, **changes: float) -> Tensor:
    return Augmentation(**{**OFF, **changes}).views(given, crop, resolution, generator())


@pytest.fixture
def always_the_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let chance give the largest angle, zoom, shift and brightness, to the positive side."""
    monkeypatch.setattr(torch, "rand", lambda count, generator: torch.ones(count))  # noqa: ARG005


@pytest.mark.parametrize(("crop", "resolution"), [(144, 144), (112, 112), (112, 64), (96, 128), (144, 32)])
def test_with_all_off_a_random_view_is_the_plain_one(crop: int, resolution: int) -> None:
    plain = View(crop, resolution)(images())
    view = looked_at(images(), resolution, crop)
    assert view.shape == plain.shape == (4, 3, resolution, resolution)
    assert view.dtype == torch.float32
    # Where a view is magnified, its outermost pixels see what lies beyond the crop.
    inner = slice(1, -1) if resolution > crop else slice(None)
    assert (view - plain)[..., inner, inner].abs().max() < 1


@pytest.mark.usefixtures("always_the_most")
def test_a_quarter_turn_is_a_quarter_turn() -> None:
    plain, turned = looked_at(images()), looked_at(images(), rotation=90)
    ways = [(turned - torch.rot90(plain, quarter, dims=(2, 3))).abs().max() for quarter in (1, -1)]
    assert min(ways) < 1
    assert max(ways) > 10


@pytest.mark.usefixtures("always_the_most")
def test_any_angle_keeps_the_distance_from_the_centre() -> None:
    x, y = centre_of_light(looked_at(spot(30, 0), rotation=37))
    assert np.hypot(x, y) == pytest.approx(30, abs=0.3)
    assert abs(np.degrees(np.arctan2(y, x))) == pytest.approx(37, abs=0.5)


def test_a_round_galaxy_looks_the_same_at_every_angle() -> None:
    given = spot(0, 0, sigma=12).expand(16, SIDE, SIDE, 3)
    turned = looked_at(given, rotation=180)
    assert (turned - looked_at(given)).abs().max() < 3


def test_angles_differ_from_galaxy_to_galaxy() -> None:
    given = spot(30, 0).expand(16, SIDE, SIDE, 3)
    turned = looked_at(given, rotation=180)
    quadrants = {tuple(np.sign(centre_of_light(view[None]))) for view in turned}
    assert len(quadrants) == 4


def test_a_mirror_changes_the_handedness() -> None:
    given = images()
    np.testing.assert_allclose(looked_at(given, mirror=1.0), looked_at(given).flip(3), atol=1)


def test_about_half_are_mirrored() -> None:
    given = spot(30, 0).expand(64, SIDE, SIDE, 3)
    mirrored = [centre_of_light(view[None])[0] < 0 for view in looked_at(given, 32, mirror=0.5)]
    assert 15 < sum(mirrored) < 49


@pytest.mark.usefixtures("always_the_most")
def test_zoom_magnifies_by_its_factor() -> None:
    assert centre_of_light(looked_at(spot(20, 10), zoom=1.5)) == pytest.approx((30, 15), abs=0.3)


@pytest.mark.usefixtures("always_the_most")
@pytest.mark.parametrize(("crop", "resolution"), [(144, 144), (112, 56)])
def test_a_shift_is_in_pixels_of_the_image(crop: int, resolution: int) -> None:
    x, y = centre_of_light(looked_at(spot(0, 0), resolution, crop, shift=8))
    expected = 8 * resolution / crop
    assert (abs(x), abs(y)) == pytest.approx((expected, expected), abs=0.2)


@pytest.mark.usefixtures("always_the_most")
def test_brightness_multiplies_and_stays_within_bounds() -> None:
    given = images()
    plain, brighter = looked_at(given), looked_at(given, brightness=1.5)
    torch.testing.assert_close(brighter, (plain * 1.5).clamp(0, 255), atol=0.01, rtol=0)
    assert brighter.max() == 255


def test_what_is_chosen_stays_within_its_limits() -> None:
    given = spot(0, 0).expand(64, SIDE, SIDE, 3)
    places = torch.tensor([centre_of_light(view[None]) for view in looked_at(given, shift=5)])
    assert places.abs().max() < 5.2
    assert places.min() < -2
    assert places.max() > 2
    gains = looked_at(given, brightness=2).amax(dim=(1, 2, 3)) / looked_at(given).amax(dim=(1, 2, 3))
    assert gains.min() >= 0.49
    assert gains.max() <= 1.32
    assert gains.max() - gains.min() > 0.3


def test_the_same_generator_gives_the_same_views() -> None:
    given = images()
    augmentation = Augmentation()
    one, same, other = (augmentation.views(given, 112, 64, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_views_have_the_range_of_pixels_and_are_whole() -> None:
    views = Augmentation(zoom=2.0, shift=40.0, brightness=3.0).views(images(16), 144, 64, generator())
    assert torch.isfinite(views).all()
    assert views.min() >= 0
    assert views.max() <= 255
