"""Results on disk: JSON, the table, the plot."""

from pathlib import Path

from benchmarks.plot import draw
from benchmarks.results import Results
from benchmarks.table import write_table


def publish(results: Results, folder: Path) -> Path:
    """Write all three, and return where the table is."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / results.machine.name
    stem.with_suffix(".json").write_text(results.model_dump_json(indent=1) + "\n", "utf-8")
    picture = stem.with_suffix(".png")
    if results.rows:
        draw(results, picture)
    table = stem.with_suffix(".md")
    table.write_text(write_table(results, picture.name if results.rows else None), "utf-8")
    return table
