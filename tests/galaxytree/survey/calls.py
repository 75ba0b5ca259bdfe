"""``galaxytree score`` as tests call it, and the catalogues they call it with."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from click.testing import CliRunner, Result

from galaxytree.cli import main
from tests.servers import environment


def url(number: int) -> str:
    """Return the URL of a galaxy."""
    return f"http://images.example/g{number:04d}.jpg"


def write_catalogue(path: Path, rows: int, **columns: Any) -> Path:  # noqa: ANN401
    """Write a catalogue of so many galaxies: ids over 2^53, URLs, brightness, and more."""
    numbers = range(rows)
    table: dict[str, Any] = {
        "objid": pa.array([2**53 + 1 + number for number in numbers], pa.int64()),
        "url": [url(number) for number in numbers],
        "mag": pa.array([number / 10 for number in numbers], pa.float32()),
        **columns,
    }
    pq.write_table(pa.table(table), path)
    return path


def score(catalogue: Path, output: Path, *words: str, server: str = "", **environment: str) -> Result:
    """Run ``galaxytree score`` in this process."""
    where = ("--server", server) if server else ()
    call = ["score", str(catalogue), "-o", str(output), *where, *words]
    variables = {f"GALAXYTREE_{name.upper()}": value for name, value in environment.items()}
    return CliRunner().invoke(main, call, env=variables)


def read(path: Path) -> pa.Table:
    """Read a Parquet file."""
    return pq.ParquetFile(path).read()


def ledger_of(output: Path) -> Path:
    """Return the folder of an output's ledger."""
    return output.with_name(output.name + ".ledger")


def manifest_of(output: Path) -> dict[str, Any]:
    """Return the manifest of an output's ledger."""
    found: dict[str, Any] = json.loads((ledger_of(output) / "manifest.json").read_bytes())
    return found


@contextmanager
def scoring(catalogue: Path, output: Path, *words: str, server: str, **more: Any) -> Iterator[subprocess.Popen[str]]:  # noqa: ANN401
    """Run ``galaxytree score`` as a process of its own."""
    call = [sys.executable, "-m", "galaxytree", "score", str(catalogue), "-o", str(output), "--server", server, *words]
    piped: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(call, env=environment(), **{**piped, **more})
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def parts_of(output: Path) -> list[str]:
    """Return the names of the parts that are in an output's ledger."""
    return sorted(path.name for path in ledger_of(output).glob("part-*.parquet"))
