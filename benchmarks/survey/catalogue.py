"""The catalogue of a survey that is measured, and what is to come of it."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.survey.host import KINDS

BAD_EVERY = 50
"""One row in so many has a bad URL where there are bad ones: 2 %."""

_FIRST_ID = 1_237_648_702_966_988_820
"""Names as SDSS has them, over 2**53."""


def good(_row: int) -> str:
    """Return of which kind a row is where all are well."""
    return "good"


def mostly_good(row: int) -> str:
    """Return of which kind a row is where 2 % are not: missing, slow, cut off and no pictures, in turn."""
    return KINDS[row // BAD_EVERY % len(KINDS)] if row % BAD_EVERY == BAD_EVERY // 2 else "good"


def write(path: Path, rows: int, port: int, kind: Callable[[int], str]) -> Path:
    """Write a catalogue of URLs on this machine, as CSV."""
    path.write_text(
        "objid,url\n"
        + "".join(f"{_FIRST_ID + row},http://127.0.0.1:{port}/{kind(row)}/{row}.jpg\n" for row in range(rows)),
        "utf-8",
    )
    return path


def held_against(output: Path, rows: int, kind: Callable[[int], str]) -> dict[str, int]:
    """Count what is wrong with a survey's output.

    Returns
    -------
    dict
        ``rows`` that there are too many or too few; rows that are not at their place (``misplaced``); that have a
        status that they should not have (``status``); good ones without a score (``unscored``).
    """
    table = pq.read_table(output)
    expected = pa.array(range(_FIRST_ID, _FIRST_ID + len(table)))
    well = pa.array(["ok" if kind(row) == "good" else "error" for row in range(len(table))])
    scored = pc.is_valid(table["Class1.1"])
    return {
        "rows": abs(len(table) - rows),
        "misplaced": _number(pc.not_equal(table["objid"], expected)),
        "status": _number(pc.not_equal(table["status"], well)),
        "unscored": _number(pc.not_equal(scored, pc.equal(table["status"], "ok"))),
    }


def _number(wrong: pa.ChunkedArray) -> int:
    return pc.sum(pc.fill_null(wrong, True)).as_py() or 0  # noqa: FBT003  (pyarrow's signature)
