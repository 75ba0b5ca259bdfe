"""What an operator is told of how large a machine has to be is what was measured."""

from pathlib import Path

from benchmarks.results import Results
from benchmarks.settings import RESULTS
from benchmarks.sizing import sizing

(MEASURED, *_) = [Results.model_validate_json(each.read_bytes()) for each in sorted(RESULTS.glob("*.json"))]


def write(folder: Path, gpu: str | None) -> None:
    machine = MEASURED.machine.model_copy(update={"gpu": gpu, "cores": 4})
    rows = [
        row.model_copy(update={"load": row.load.model_copy(update={"requests": 4000, "seconds": 4.0})})
        for row in MEASURED.rows
    ]
    (folder / "some.json").write_text(MEASURED.model_copy(update={"machine": machine, "rows": rows}).model_dump_json())


def test_speed_is_divided_by_cores_or_is_that_of_the_gpu(tmp_path: Path) -> None:
    write(tmp_path, None)
    lines = sizing(tmp_path).splitlines()[2:]
    assert [line.split(" | ")[1:4] for line in lines] == [[name, "1000", "250 a core"] for name in MEASURED.precisions]
    assert all(MEASURED.command in line and "](../benchmarks/results/some.md)" in line for line in lines)
    write(tmp_path, "some GPU")
    assert [line.split(" | ")[3] for line in sizing(tmp_path).splitlines()[2:]] == ["1000 a GPU"] * len(lines)


def test_nothing_is_said_where_nothing_was_measured(tmp_path: Path) -> None:
    assert len(sizing(tmp_path).splitlines()) == 2
