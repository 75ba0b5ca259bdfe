"""Draw a made-up galaxy, ask the shipped model about it, and draw the answer: the picture in the README.

It writes ``docs/figures/galaxy.jpg``, ``docs/figures/answer.json`` and ``docs/figures/answer.jpg``.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from app.local import LocalEngine  # noqa: E402  (found only now)
from galaxytree.schemas import Classification  # noqa: E402
from tests.galaxies import encode  # noqa: E402

FIGURES = ROOT / "docs" / "figures"
SIZE = 424
WINDING = 3.2


def galaxy(seed: int = 5) -> NDArray[np.uint8]:
    """Draw a spiral with two arms, knots of young stars and a few field stars: uint8 [424, 424, 3]."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    tilt = np.radians(25)
    along, across = x * np.cos(tilt) + y * np.sin(tilt), (y * np.cos(tilt) - x * np.sin(tilt)) / 0.8
    radius, azimuth = np.hypot(along, across), np.arctan2(across, along)
    # A logarithmic spiral is a straight line in the logarithm of the radius.
    phase = 2 * (azimuth + WINDING * np.log(radius + 0.03))
    arms = np.exp(0.3 * (np.cos(phase) - 1)) * np.exp(-radius / 0.15) * (1 - np.exp(-((radius / 0.14) ** 2)))
    blue, yellow = np.array([0.72, 0.82, 1.0]), np.array([1.0, 0.86, 0.62])
    light = 0.25 * np.exp(-radius / 0.15)[..., None] * yellow + 0.7 * arms[..., None] * blue
    light += 0.4 * np.exp(-((radius / 0.07) ** 1.6))[..., None] * yellow
    for _ in range(60):
        distance = random.uniform(0.12, 0.42)
        turn = random.integers(2) * np.pi - WINDING * np.log(distance + 0.03) + random.normal(0, 0.12)
        at = np.hypot(along - distance * np.cos(turn), across - distance * np.sin(turn))
        light += random.uniform(0.02, 0.15) * np.exp(-((at / 0.012) ** 2))[..., None] * blue
    for _ in range(7):
        at = np.hypot(x - random.uniform(-0.95, 0.95), y - random.uniform(-0.95, 0.95))
        light += random.uniform(0.3, 1.0) * np.exp(-((at / 0.009) ** 2))[..., None]
    # Survey pictures are enlarged to the galaxy's size, and their noise with them.
    coarse = random.normal(0.035, 0.026, (3, SIZE // 3, SIZE // 3)).astype(np.float32)
    fine = [Image.fromarray(channel).resize((SIZE, SIZE), Image.Resampling.BICUBIC) for channel in coarse]
    light += np.stack([np.asarray(channel) for channel in fine], axis=-1)
    return (255 * light.clip(0, 1)).astype(np.uint8)


def draw(image: NDArray[np.uint8], answer: Classification) -> Figure:
    """Draw the galaxy beside the votes on each question of its path."""
    ink, ground, accent, quiet = "#e8e6e1", "#11131a", "#7fb4ff", "#39415a"
    asked = {one.id: question for question in answer.questions or () for one in question.answers}
    on_path = [asked[each] for each in answer.path or ()]
    figure = Figure(figsize=(11, 5.6), facecolor=ground)
    sky = figure.add_axes((0.02, 0.14, 0.41, 0.82))
    sky.imshow(Image.fromarray(image))
    sky.set_axis_off()
    votes = figure.add_axes((0.52, 0.14, 0.46, 0.82), facecolor=ground)
    row = 0.0
    for question in on_path:
        votes.text(0, row, question.text, color=ink, fontsize=8.5, va="center", weight="bold")
        row += 1
        for each in question.answers:
            likeliest = each.id in (answer.path or ())
            votes.barh(row, each.fraction, height=0.7, color=accent if likeliest else quiet)
            votes.text(
                each.fraction + 0.012, row, f"{each.label} {each.fraction:.0%}", color=ink, fontsize=8, va="center"
            )
            row += 1
        row += 0.4
    votes.set(xlim=(0, 1.3), ylim=(row, -1))
    votes.set_axis_off()
    figure.text(0.5, 0.05, answer.summary or "", color=ink, fontsize=12, ha="center", wrap=True)
    return figure


def main() -> None:
    """Write the three files."""
    FIGURES.mkdir(exist_ok=True)
    image = galaxy()
    data = encode(image, quality=88)
    (FIGURES / "galaxy.jpg").write_bytes(data)
    answer = LocalEngine().classify(data)
    (FIGURES / "answer.json").write_text(answer.model_dump_json(indent=2, exclude_none=True) + "\n", "utf-8")
    draw(image, answer).savefig(FIGURES / "answer.jpg", dpi=100, pil_kwargs={"quality": 92, "optimize": True})
    print(answer.summary)


if __name__ == "__main__":
    main()
