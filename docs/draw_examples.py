"""Draw the example galaxies of the page: made up, so that nothing needs a licence, and the same each time.

It writes ``app/page/examples/*.jpg``. What a survey does to a galaxy is done to these in the same order: light in three
bands, the blur of the atmosphere, noise, and a stretch that keeps colours where it is bright. Another seed, and another
angle that they are turned by, give others like them.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Plane = NDArray[np.float64]
Random = np.random.Generator

FOLDER = Path(__file__).parent.parent / "app" / "page" / "examples"
SIZE = 424
QUALITY = 43
PLAIN_QUALITY = 20
"""Of what is no galaxy, and so has no faint arms to lose."""
BLUE, WHITE = np.array((0.78, 0.9, 1.08)), np.array((1.0, 0.96, 0.9))
YELLOW, RED = np.array((1.12, 0.96, 0.7)), np.array((1.2, 0.8, 0.5))
"""Light in red, green and blue: of young stars, of all, of old ones, and of those behind dust."""

SEEING = 2.2
"""Of a point's image, in pixels: the standard deviation."""

NOISE = 0.0035
"""Of the light of a pixel, of which 1 is white: the standard deviation."""

Y, X = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]


class Disk:
    """Places in the plane of a galaxy that is seen at an angle.

    Parameters
    ----------
    turn
        Position angle of its long axis, degrees.
    flat
        Short axis over long axis.
    centre
        Where its centre is, in halves of the picture.

    Attributes
    ----------
    along, across
        Places along both axes: float [424, 424].
    radius, azimuth
        The same as polar coordinates.
    """

    def __init__(self, turn: float = 0, flat: float = 1, centre: tuple[float, float] = (0, 0)) -> None:
        angle = np.radians(turn)
        x, y = X - centre[0], Y - centre[1]
        self.along = x * np.cos(angle) + y * np.sin(angle)
        self.across = (y * np.cos(angle) - x * np.sin(angle)) / flat
        self.radius, self.azimuth = np.hypot(self.along, self.across), np.arctan2(self.across, self.along)

    def sersic(self, half_light: float, index: float) -> Plane:
        """Return light as of Sérsic's law, 1 at the radius that holds half of it."""
        steepness = 2 * index - 1 / 3
        smooth = np.sqrt(self.radius**2 + 0.004**2)
        return np.exp(-steepness * ((smooth / half_light) ** (1 / index) - 1))

    def exponential(self, scale: float) -> Plane:
        """Return light of a disk, 1 at its centre."""
        return np.exp(-self.radius / scale)

    def winding(self, pitch: float, start: float, arms: int = 2) -> Plane:
        """Return the phase of logarithmic spirals: 0 on the arms."""
        # Such a spiral is a straight line in the logarithm of the radius.
        return arms * (self.azimuth - np.log((self.radius + 0.004) / start) / np.tan(np.radians(pitch)))


def crest(phase: Plane, sharpness: float) -> Plane:
    """Return 1 where the phase is 0, and less around it."""
    return np.exp(sharpness * (np.cos(phase) - 1))


def between(radius: Plane, inner: float, outer: float, soft: float) -> Plane:
    """Return 1 between two radii, with soft edges."""
    return 1 / (1 + np.exp((inner - radius) / soft)) / (1 + np.exp((radius - outer) / soft))


def blurred(plane: Plane, sigma: float) -> Plane:
    """Blur by a Gaussian, round the picture's edges."""
    across = np.fft.rfftfreq(SIZE)[None, :] ** 2 + np.fft.fftfreq(SIZE)[:, None] ** 2
    return np.fft.irfft2(np.fft.rfft2(plane) * np.exp(-2 * (np.pi * sigma) ** 2 * across), plane.shape)


def clumps(random: Random, size: float, contrast: float) -> Plane:
    """Return what makes light clumpy: 1 on average, lumps of so many pixels."""
    rough = blurred(random.normal(size=(SIZE, SIZE)), size)
    lumps = np.exp(contrast * rough / rough.std())
    return lumps / lumps.mean()


def coloured(light: Plane, colour: Plane) -> Plane:
    """Give light a colour: float [424, 424, 3]."""
    return light[..., None] * colour


def sky(random: Random, stars: int = 5, faint: int = 9) -> Plane:
    """Draw stars, and galaxies so far away that they are specks; none near the middle."""
    light = np.zeros((SIZE, SIZE, 3))
    for number in range(stars + faint):
        while True:
            x, y = random.uniform(-0.98, 0.98, 2)
            if np.hypot(x, y) > 0.5:
                break
        colour = [BLUE, WHITE, YELLOW, RED][random.integers(4)]
        if number < stars:
            # Few are bright.
            bright = 0.25 * random.pareto(1.5)
            light += coloured(bright * np.exp(-((Disk(centre=(x, y)).radius / 0.009) ** 2)), colour)
        else:
            speck = Disk(random.uniform(0, 180), random.uniform(0.4, 1), (x, y))
            light += coloured(random.uniform(0.05, 0.3) * speck.exponential(0.012), colour)
    return light


def photographed(light: Plane, random: Random) -> NDArray[np.uint8]:
    """Make a survey's picture of light: uint8 [424, 424, 3]."""
    seen = np.stack([blurred(band, SEEING) for band in np.moveaxis(light, -1, 0)], axis=-1)
    grain = np.stack([blurred(random.normal(size=(SIZE, SIZE)), 0.8) for _ in range(3)], axis=-1)
    seen += NOISE * grain / grain.std() + 0.009
    mean = seen.mean(axis=-1, keepdims=True).clip(1e-4)
    stretched = np.arcsinh(9 * mean) / np.arcsinh(9.0) * seen / mean
    return (255 * (stretched / np.maximum(1, stretched.max(axis=-1, keepdims=True))).clip(0, 1)).astype(np.uint8)


def spiral(seed: int = 5, turned: float = 0) -> NDArray[np.uint8]:
    """Draw a spiral from above, with two arms and no bar."""
    random = np.random.default_rng(seed)
    disk = Disk(turn=30 + turned, flat=0.75)
    bends = blurred(random.normal(size=(SIZE, SIZE)), 18)
    phase = disk.winding(pitch=18, start=0.1) + 0.2 * bends / bends.std()
    inside = between(disk.radius, 0.065, 0.33, 0.03)
    arms = crest(phase, 1.6) * inside * disk.exponential(0.115)
    # Dust lies along the inner side of the arms.
    clear = 1 - 0.5 * crest(phase + 0.75, 7) * inside
    old = 0.3 * disk.exponential(0.108) + 0.05 * disk.sersic(0.06, 1.6)
    light = coloured(old * clear, YELLOW) + coloured(0.4 * arms * clumps(random, 3.5, 0.3) * clear, BLUE)
    return photographed(light + sky(random), random)


def barred(seed: int = 28, turned: float = 0) -> NDArray[np.uint8]:
    """Draw a barred spiral: two arms from the ends of a straight bar."""
    random = np.random.default_rng(seed)
    disk = Disk(turn=-35 + turned, flat=0.8)
    length = 0.15
    bar = np.exp(-((np.abs(disk.along / length) ** 3 + np.abs(disk.across / 0.04) ** 2) ** 0.9))
    arms = crest(disk.winding(pitch=17, start=length), 1.2)
    arms *= between(disk.radius, 0.95 * length, 0.36, 0.025) * disk.exponential(0.1)
    old = 0.35 * disk.exponential(0.1) + 0.12 * bar + 0.02 * disk.sersic(0.04, 1.4)
    light = coloured(old, YELLOW) + coloured(0.5 * arms * clumps(random, 4, 0.3), BLUE)
    return photographed(light + sky(random), random)


def edge_on(seed: int = 8, turned: float = 0) -> NDArray[np.uint8]:
    """Draw a disk from its side, with a bulge and a lane of dust."""
    random = np.random.default_rng(seed)
    disk = Disk(turn=-24 + turned)
    out = np.abs(disk.along)
    thin = np.exp(-out / 0.13) / np.cosh(disk.across / 0.022) ** 2 * between(out, -1, 0.42, 0.03)
    bulge = Disk(turn=-24 + turned, flat=0.8).sersic(0.06, 1.3)
    lane = 1 - 0.7 * np.exp(-(((disk.across - 0.007) / 0.009) ** 2)) * between(out, -1, 0.3, 0.03)
    light = coloured((0.5 * thin * clumps(random, 4, 0.25) + 0.06 * bulge) * lane, YELLOW)
    light += coloured(0.13 * thin * between(out, 0.16, 1, 0.03), BLUE)
    return photographed(light + sky(random), random)


def smooth(seed: int = 4, turned: float = 0) -> NDArray[np.uint8]:
    """Draw an elliptical galaxy, round."""
    random = np.random.default_rng(seed)
    light = coloured(0.07 * Disk(turn=20 + turned, flat=0.97).sersic(0.11, 2.2), YELLOW)
    return photographed(light + sky(random), random)


def merger(seed: int = 26, turned: float = 0) -> NDArray[np.uint8]:
    """Draw two galaxies that fall into each other, with the tails that the tides drew out."""
    random = np.random.default_rng(seed)
    pair = ((-0.072, 0.048), (0.08, -0.056))
    one, other = Disk(40 + turned, 0.6, pair[0]), Disk(-30 + turned, 0.54, pair[1])
    light = coloured(0.5 * one.exponential(0.05) + 0.05 * one.sersic(0.03, 1.5), YELLOW)
    light += coloured(0.2 * other.exponential(0.06) + 0.05 * other.sersic(0.028, 1.5), YELLOW)
    lumpy = clumps(random, 6, 0.4)
    for centre, begins, turns in zip(pair, (2.2, -0.9), (2.2, 2.0), strict=True):
        tail = np.zeros((SIZE, SIZE))
        for part in np.linspace(0, 1, 60):
            angle, far = begins - turns * part, 0.09 + 0.25 * part**1.3
            place = Disk(centre=(centre[0] + far * np.cos(angle), centre[1] + far * np.sin(angle)))
            tail += (1 - part) ** 0.8 * np.exp(-((place.radius / (0.045 + 0.03 * part)) ** 2))
        light += coloured(0.003 * tail * lumpy, (WHITE + BLUE) / 2)
    light += coloured(0.1 * Disk(-36, 0.7).exponential(0.11), WHITE)
    return photographed(light + sky(random), random)


def no_galaxy() -> NDArray[np.uint8]:
    """Draw hills at dusk: what a network that knows nothing but galaxies has to say that it doesn't know."""
    random = np.random.default_rng(2)
    down = np.linspace(0, 1, SIZE)[:, None, None]
    air = (1 - down) * np.array([88, 130, 190]) + down * np.array([255, 196, 140])
    picture = Image.fromarray(np.broadcast_to(air, (SIZE, SIZE, 3)).astype(np.uint8))
    ImageDraw.Draw(picture).ellipse((270, 150, 322, 202), fill=(255, 244, 214))
    picture = picture.filter(ImageFilter.GaussianBlur(1.5))
    across = np.linspace(0, 1, SIZE)
    for number, colour in enumerate([(150, 130, 150), (108, 100, 128), (66, 78, 96), (34, 50, 56)]):
        ridge = 0.5 + 0.13 * number
        for wave in (1, 2, 3, 5, 9, 17):
            ridge = ridge + 0.07 / wave * np.sin(2 * np.pi * (wave * across + random.uniform()))
        line = list(zip(np.arange(SIZE), SIZE * ridge, strict=True))
        ImageDraw.Draw(picture).polygon([(0, SIZE), *line, (SIZE, SIZE)], fill=colour)
    return np.asarray(picture.filter(ImageFilter.GaussianBlur(0.7)))


EXAMPLES: dict[str, Callable[..., NDArray[np.uint8]]] = {
    "spiral": spiral,
    "barred": barred,
    "edge-on": edge_on,
    "smooth": smooth,
    "merger": merger,
    "no-galaxy": no_galaxy,
}


def main(folder: Path = FOLDER) -> None:
    """Write all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in EXAMPLES.items():
        quality = PLAIN_QUALITY if draw is no_galaxy else QUALITY
        Image.fromarray(draw()).save(folder / f"{name}.jpg", quality=quality, optimize=True, progressive=True)
        print(f"{name}: {(folder / f'{name}.jpg').stat().st_size} bytes")


if __name__ == "__main__":
    main()
