"""Memory stays flat however many rows a table has."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = 20_000
TIMES = 14
MORE_MIB = 80
"""Less than what the rows alone would take that the larger table has more: some 140 MiB in memory. Readers of CSV take
some 50 more or less from one run to the next."""

WRITE = """
import resource, sys
from pathlib import Path
import numpy as np, pyarrow as pa
from galaxytree.catalogue import open_catalogue, writing
path, rows = Path(sys.argv[1]), int(sys.argv[2])
schema = pa.schema([("id", pa.int64()), ("ra", pa.float64()), ("name", pa.string()), ("url", pa.string())])
with writing(path, schema, rows=rows, metadata={}) as table:
    for first in range(0, rows, 1000):
        ids = np.arange(first, first + 1000)
        names = [f"{row} " + "x" * 100 for row in ids]
        urls = [f"https://example.org/{row}/" + "y" * 400 for row in ids]
        table.write(pa.table([ids + 2**53, ids / 7, names, urls], schema=schema))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""
READ = """
import resource, sys
from pathlib import Path
from galaxytree.catalogue import open_catalogue
catalogue = open_catalogue(Path(sys.argv[1]))
assert sum(batch.num_rows for batch in catalogue.batches(1000)) == catalogue.rows == int(sys.argv[2])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def peak_mib(code: str, path: Path, rows: int) -> int:
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), str(rows)], cwd=ROOT, capture_output=True, check=True, text=True
    )
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="the system counts in other units")
@pytest.mark.parametrize("ending", [".csv", ".parquet", ".fits", ".vot"])
def test_memory_does_not_grow_with_the_rows(tmp_path: Path, ending: str) -> None:
    few, many = tmp_path / f"few{ending}", tmp_path / f"many{ending}"
    assert peak_mib(WRITE, many, TIMES * ROWS) - peak_mib(WRITE, few, ROWS) < MORE_MIB
    assert peak_mib(READ, many, TIMES * ROWS) - peak_mib(READ, few, ROWS) < MORE_MIB
