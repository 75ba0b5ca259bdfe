"""``galaxytree score`` as a command: what it needs, and what it says of itself."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from galaxytree.cli import main
from tests.galaxytree.survey.calls import score, scoring
from tests.galaxytree.survey.stand_in import StandIn
from tests.servers import PATIENCE_SECONDS, galaxytree

BLOCKING = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {missing}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
from galaxytree.cli import main
main(prog_name="galaxytree")
"""


def without(missing: set[str], *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command line where packages are not installed."""
    code = BLOCKING.format(missing=missing)
    return subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)


def test_without_the_extra_it_is_listed_and_says_what_it_needs(catalogue: Path, tmp_path: Path) -> None:
    extra = {"pyarrow", "astropy", "duckdb", "orjson", "tqdm", "filelock"}
    listed = without(extra, "--help")
    assert (listed.returncode, "  score " in listed.stdout) == (0, True)
    told = without(extra, "score", "--help")
    assert (told.returncode, "--retry-failed" in told.stdout) == (0, True)
    ended = without(extra, "score", str(catalogue), "-o", str(tmp_path / "out.parquet"))
    assert ended.returncode == 2
    assert ended.stderr.startswith("Error: galaxytree score needs packages that are not installed (")
    assert ended.stderr.endswith("): pip install 'galaxytree[survey]'\n")


@pytest.mark.parametrize("package", ["astropy", "duckdb"])
def test_what_a_format_or_a_condition_needs_is_said_too(catalogue: Path, tmp_path: Path, package: str) -> None:
    words = ["score", str(catalogue), "-o", str(tmp_path / "out.fits"), "--where", "mag < 2", "--dry-run"]
    ended = without({package}, *words)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"Error: galaxytree score needs packages that are not installed ({package}")


def test_ctrl_c_while_it_is_loaded(catalogue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pressed(name: str, *_: object) -> None:
        if name == "galaxytree.survey_call":
            raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "galaxytree.survey_call", raising=False)
    monkeypatch.delattr("galaxytree.survey_call", raising=False)
    monkeypatch.setattr(sys, "meta_path", [SimpleNamespace(find_spec=pressed), *sys.meta_path])
    ended = score(catalogue, tmp_path / "out.parquet")
    assert (ended.exit_code, ended.stderr.startswith("Error: stopped.")) == (2, True)


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import json, sys\nfrom click.testing import CliRunner\nfrom galaxytree.cli import main\n"
        "CliRunner().invoke(main, ['score', '--help'])\nprint(json.dumps([*sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert not loaded & {"pyarrow", "astropy", "duckdb", "tqdm", "filelock", "ray"}


def test_ray_is_another_extra(
    stand_in: StandIn, catalogue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "galaxytree.ray_engine", None)
    ended = score(catalogue, tmp_path / "out.parquet", "--engine", "ray", server=stand_in.url)
    assert ended.exit_code == 2
    assert "engine_unavailable: --engine ray needs packages that are not installed" in ended.stderr
    assert "pip install 'galaxytree[ray]'" in ended.stderr


def test_several_services_and_options_from_the_environment(stand_in: StandIn, catalogue: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    ended = galaxytree(
        "score", str(catalogue), server=f"{stand_in.url} {stand_in.url}", score_output=str(out), score_limit="7",
        score_chunk_rows="2", score_columns="objid, mag", json="1",
    )  # fmt: skip
    assert ended.returncode == 0, ended
    assert json.loads(ended.stdout) == {"output": str(out), "rows": 7, "ok": 7, "failed": {}}
    assert sum(stand_in.asked.values()) == 7
    assert out.read_text().startswith(("objid,mag,Class1.1", '"objid","mag","Class1.1'))


def test_an_output_is_needed(catalogue: Path) -> None:
    ended = CliRunner().invoke(main, ["score", str(catalogue)])
    assert ended.exit_code == 2
    assert "--output" in ended.stderr


def test_a_service_that_is_none(catalogue: Path, tmp_path: Path, stand_in: StandIn) -> None:
    stand_in.old = True
    ended = score(catalogue, tmp_path / "out.parquet", server=stand_in.url)
    assert ended.exit_code == 2
    assert "unexpected_answer: GET /model doesn't say 'network_sha256'" in ended.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["galaxies.parquet"]


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "http://nobody.invalid:8000"])
def test_a_service_that_is_not_there_is_told_of_long_before_it_is_given_up(
    catalogue: Path, tmp_path: Path, address: str
) -> None:
    with scoring(catalogue, tmp_path / "out.parquet", server=address) as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        assert re.fullmatch(
            rf"{address} has not answered yet.*: it is tried until \S+ \d\d:\d\d:\d\d \(--patience-seconds\)\n", said
        )
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=PATIENCE_SECONDS)
    # Nothing was scored, and so nothing is kept.
    assert (process.returncode, rest) == (2, "Error: stopped. Nothing was scored\n")
    assert [path.name for path in tmp_path.iterdir()] == ["galaxies.parquet"]


def test_a_service_that_is_given_up_before_anything_was_scored(catalogue: Path, tmp_path: Path) -> None:
    ended = score(catalogue, tmp_path / "out.parquet", "--patience-seconds", "0.1", server="http://127.0.0.1:9")
    assert ended.exit_code == 2
    assert "Error: unreachable: http://127.0.0.1:9 doesn't answer" in ended.stderr
    assert ended.stderr.endswith("`galaxytree serve` starts a service. Nothing was scored.\n")


def test_a_service_that_is_still_starting_is_waited_for(
    stand_in: StandIn, catalogue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("galaxytree.service_engine.SAID_AFTER_SECONDS", 0.0)
    ended = score(catalogue, tmp_path / "out.parquet", server=stand_in.url)
    assert ended.exit_code == 0
    assert ended.stderr.startswith(f"{stand_in.url} has not answered yet: it is tried until ")
