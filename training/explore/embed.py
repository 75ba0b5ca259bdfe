"""Drawings and pixels as text that stands in the page itself, so that it needs no other file and no other host."""

import base64
import io
import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from training.explore.content import Drawing, Picture

# Colours of drawings, each with the style sheet's name for it: the page sets what they are in light and in dark. Blue
# and orange are told apart with every kind of colour vision (Okabe & Ito 2008, Color Universal Design).
INK, QUIET, VOTES, SCORES = "#0a0b0c", "#c9cbcd", "#0172b3", "#d55f01"
_VARIABLES = {INK: "ink", QUIET: "quiet", VOTES: "votes", SCORES: "scores", "#000000": "ink"}

_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "explore",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.axisbelow": True,
    "grid.color": QUIET,
    "grid.linewidth": 0.5,
    "text.parse_math": False,
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
}

_PICTURE_SIDE = 192
_numbers = itertools.count(1)


@contextmanager
def drawn_for_the_page() -> Iterator[None]:
    """Give all figures made and saved herein the page's style."""
    with mpl.rc_context(_STYLE):
        yield


def panel(width: float, height: float) -> tuple[Figure, Axes]:
    """Return a figure of that size in inches with one pair of axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def drawing(figure: Figure, alt: str) -> Drawing:
    """Turn a figure into an SVG element whose colours are the page's, and which `alt` describes."""
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:xlink)?="[^"]*"', "", svg).replace("xlink:href=", "href=")
    # The page says these for all drawings at once.
    svg = re.sub(r"<defs>\s*<style.*?</defs>|font-family:[^;\"]*;? ?", "", svg, flags=re.DOTALL)
    referred = set(re.findall(r'(?:url\(#|href="#)([^")]*)', svg))
    svg = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in referred else "", svg)
    # All drawings stand in one document, where an id is to be unique.
    prefix = f"d{next(_numbers)}-"
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{prefix}", svg)
    for colour, name in _VARIABLES.items():
        svg = svg.replace(colour, f"var(--{name})")
    svg = re.sub(r'^<svg [^>]*?viewBox="([^"]*)"[^>]*>', lambda start: _opening(start[1], alt), svg)
    return Drawing(Markup(svg.strip()))  # noqa: S704  (matplotlib escapes the texts in it, `_opening` the other)


def _opening(box: str, alt: str) -> str:
    width = float(box.split()[2])
    # Points of 1/72 inch to the page's pixels of 1/96: texts are as large as they were meant.
    return f'<svg viewBox="{box}" width="{width * 96 / 72:.0f}" role="img" aria-label="{escape(alt)}">'


def photograph(pixels: NDArray[np.uint8], alt: str) -> Picture:
    """Embed a galaxy's picture, uint8 [S, S, 3], as a JPEG of at most 192 pixels a side."""
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.thumbnail((_PICTURE_SIDE, _PICTURE_SIDE))
    return Picture(_data_uri(image, "jpeg"), alt)


def pixels_as_they_are(pixels: NDArray[np.uint8], alt: str) -> Picture:
    """Embed a small image, uint8 [H, W, 3], whose single pixels are to be seen."""
    return Picture(_data_uri(Image.fromarray(np.ascontiguousarray(pixels)), "png"), alt, pixelated=True)


def _data_uri(image: Image.Image, kind: str) -> str:
    file = io.BytesIO()
    image.save(file, kind, **({"quality": 85} if kind == "jpeg" else {"optimize": True}))
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
