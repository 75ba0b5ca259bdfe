"""What a page is made of: parts, and in them galleries of cards and tables. All texts are plain, never HTML."""

from dataclasses import dataclass, field
from typing import ClassVar

from markupsafe import Markup


@dataclass(frozen=True)
class Picture:
    """Pixels as a data URI, and what they show for those who do not see them."""

    source: str
    alt: str
    pixelated: bool = False


@dataclass(frozen=True)
class Drawing:
    """A plot as an SVG element that carries its own alternative text."""

    svg: Markup


@dataclass(frozen=True)
class Card:
    """A title, pictures or drawings, and lines of text below them."""

    title: str
    shown: tuple[Picture | Drawing, ...] = ()
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Gallery:
    """Cards side by side, as many as the screen has room for.

    Attributes
    ----------
    cards, title, text
        What is shown, and what stands above it.
    width
        ``small`` for pictures, ``medium`` for plots, ``full`` for a plot that takes the whole line.
    """

    kind: ClassVar[str] = "gallery"

    cards: tuple[Card, ...]
    title: str = ""
    text: str = ""
    width: str = "medium"


@dataclass(frozen=True)
class Table:
    """Rows of texts under a header; `folded` ones open on a click."""

    kind: ClassVar[str] = "table"

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    folded: bool = False


@dataclass(frozen=True)
class Part:
    """One part of the page: its name in links, its title, paragraphs, and what it shows."""

    name: str
    title: str
    text: tuple[str, ...]
    blocks: tuple[Gallery | Table, ...] = field(default=())


def number(value: float) -> str:
    """Write a vote, score or error with three digits, and a missing one as a dash."""
    return f"{value:.3f}" if value == value else "–"  # noqa: PLR0124, RUF001  (NaN alone differs from itself; a dash)


def counted(count: int, what: str) -> str:
    """Write a count with its noun: 1 galaxy, 2,000 galaxies."""
    plural = what[:-1] + "ies" if what.endswith("y") else what + "s"
    return f"{count:,} {what if count == 1 else plural}"
