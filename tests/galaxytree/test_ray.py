"""A survey on a Ray cluster of two nodes, one of which dies on the way, gives the table that a service gives.

Slow, since Ray takes its time to start, to notice that a node is gone and to do its work again: it is what the engine
is for, and nothing less than two real nodes shows it.
"""

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from galaxytree.client_errors import EngineError, UnexpectedAnswerError
from galaxytree.in_process import new_scorer
from galaxytree.score_table import score_rows
from galaxytree.survey_engine import Asking, Chunk, ModelFacts, Scored
from tests.galaxies import jpeg
from tests.galaxytree.survey.calls import ledger_of, parts_of, score
from tests.image_host import ImageHost, image_host
from tests.servers import Process, environment, serving, wait_for
from tests.tiny_model import write_model

ray = pytest.importorskip("ray", reason="Ray is not installed (the extra `ray`)")

from ray.cluster_utils import Cluster  # noqa: E402 (only if it is installed)

from galaxytree import ray_cluster, ray_engine  # noqa: E402 (likewise)
from galaxytree.ray_engine import Actor, RayEngine  # noqa: E402

# Ray's own, which nobody here can mend: sockets and files that it leaves open, and what it means to change.
pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning:ray"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning"),
]

ROWS_A_CHUNK = 8
CHUNKS = 24
ROWS = ROWS_A_CHUNK * CHUNKS
HELD = range(80, 160)

RAY_SECONDS = 300.0
"""Patience with Ray, which starts many processes, perhaps on a busy machine."""

OBJECT_STORE_BYTES = 80 * 1024 * 1024

# A dead node is noticed sooner than Ray has it.
HEALTH = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 1000, "health_check_failure_threshold": 5}


@pytest.fixture(scope="module")
def images() -> Iterator[ImageHost]:
    with image_host() as host:
        yield host


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Write two models that tell apart, and one that has more to say."""
    folder = tmp_path_factory.mktemp("models")
    return {
        "tiny": write_model(folder / "tiny"),
        "other": write_model(folder / "other", factor=3.0),
        "rich": write_model(folder / "rich", outputs=("scores", "uncertainty", "uncertainty_95", "out_of_domain")),
    }


@dataclass
class Nodes:
    """A cluster, and the node of it that may die."""

    cluster: Any
    second: Any

    @property
    def address(self) -> str:
        return str(self.cluster.address)


@pytest.fixture(scope="module")
def nodes(models: dict[str, Path]) -> Iterator[Nodes]:
    """Start two nodes, of one core each, that have different models unless they are told which."""
    common = {"num_cpus": 1, "object_store_memory": OBJECT_STORE_BYTES}

    def plain(model: str) -> dict[str, Any]:
        return {**common, "env_vars": {"GALAXYTREE_MODEL": str(models[model]), "GALAXYTREE_DEVICE": "cpu"}}

    cluster = Cluster(
        initialize_head=True, head_node_args={**plain("tiny"), "include_dashboard": False, "_system_config": HEALTH}
    )
    try:
        second = cluster.add_node(**plain("other"))
        cluster.wait_for_nodes()
        yield Nodes(cluster, second)
    finally:
        ray.shutdown()
        cluster.shutdown()


@pytest.fixture
def settings(models: dict[str, Path], images: ImageHost, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Set what the nodes, and a service, are to run."""
    found = {"model": str(models["tiny"]), "fetch_hosts": images.hosts, "device": "cpu", "fetch_tries": "1"}
    # What is held back is waited for.
    found |= {"fetch_first_byte_timeout_seconds": "600", "fetch_timeout_seconds": "600"}
    for name, value in found.items():
        monkeypatch.setenv(f"GALAXYTREE_{name.upper()}", value)
    monkeypatch.setattr(ray_engine, "the_scorer", new_scorer)
    return found


@pytest.fixture
def service(settings: dict[str, str], tmp_path: Path) -> Iterator[Process]:
    with serving(tmp_path / "log", **settings) as process:
        yield process


def path_of(number: int) -> str:
    if number % 50 == 7:
        return f"/nowhere/{number}"
    if number % 50 == 9:
        return f"/text/{number}"
    return f"/held/{number}" if number in HELD else f"/galaxy/{number}"


def urls_of(images: ImageHost) -> list[str]:
    return [images.url + path_of(number) for number in range(ROWS)]


def on_ray(catalogue: Path, output: Path, *words: str, **settings: str) -> subprocess.Popen[str]:
    """Begin a survey on a cluster in a process of its own."""
    call = [sys.executable, "-m", "galaxytree", "score", str(catalogue), "-o", str(output), "--engine", "ray", *words]
    return subprocess.Popen(
        call, env=environment(**settings), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def told(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Return how a process ended, and what it said."""
    try:
        out, err = process.communicate(timeout=RAY_SECONDS)
    finally:
        process.kill()
    return process.returncode, out, err


def test_nodes_with_different_models_are_refused(nodes: Nodes, tmp_path: Path) -> None:
    catalogue = tmp_path / "c.csv"
    catalogue.write_text("url\nhttp://images.example/1.jpg\n")
    code, out, err = told(on_ray(catalogue, tmp_path / "out.csv", "--address", nodes.address))
    assert (code, out) == (2, "")
    assert err.startswith("Error: engine_unavailable: the nodes of the cluster have different models: ")
    assert err.count("\n") == 1
    assert not (tmp_path / "out.csv").exists()


def test_stopped_and_gone_on_with(
    nodes: Nodes, images: ImageHost, service: Process, settings: dict[str, str], tmp_path: Path
) -> None:
    catalogue, out, undisturbed = tmp_path / "c.parquet", tmp_path / "out.parquet", tmp_path / "service.parquet"
    pq.write_table(pa.table({"id": list(range(ROWS)), "url": urls_of(images)}), catalogue)
    words = ["--chunk-rows", str(ROWS_A_CHUNK)]
    images.let_go()
    assert score(catalogue, undisturbed, *words, server=service.url).exit_code == 1
    images.hold()
    images.asked.clear()
    process = on_ray(catalogue, out, *words, "--address", nodes.address, **settings)
    wait_for(lambda: process.poll() is not None or len(parts_of(out)) >= 10, "some chunks", RAY_SECONDS)
    process.send_signal(signal.SIGINT)
    code, stdout, stderr = told(process)
    assert (code, stdout) == (2, ""), stderr
    assert stderr.splitlines()[-1].startswith("Error: stopped. What was scored is kept")
    done = len(parts_of(out))
    images.let_go()
    before = images.asked.copy()
    code, stdout, stderr = told(on_ray(catalogue, out, *words, "--address", nodes.address, **settings))
    assert code == 1, stderr
    assert f"{ROWS} rows" in stdout
    lines = [line for line in stderr.splitlines() if "ray" in line.lower()]
    assert not lines
    assert ledger_of(out).exists()
    # What the nodes answer is what a service answers.
    assert out.read_bytes() == undisturbed.read_bytes()
    again = [number for number in range(ROWS) if images.asked[path_of(number)] > before[path_of(number)]]
    assert len({number // ROWS_A_CHUNK for number in again}) == CHUNKS - done


async def everything(engine: RayEngine, chunks: list[Chunk], asking: Asking) -> list[Scored]:
    async with aclosing(engine.score(iter(chunks), asking)) as answers:
        return [scored async for scored in answers]


def test_a_session_of_ray_that_was_there_stays_and_a_node_s_reason_is_told(
    nodes: Nodes, images: ImageHost, settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GALAXYTREE_MAX_BATCH", "4")
    assert settings["device"] == "cpu"
    ray.init(nodes.address, log_to_driver=False, logging_level="CRITICAL")

    async def survey() -> None:
        engine = RayEngine()
        facts = await engine.model()
        asking = Asking(schema=facts.schema(full=False), files=False, detail="scores", views=8)
        with pytest.raises(EngineError, match=r"the cluster can't go on: 8 views .* a run of 4"):
            await everything(engine, [Chunk(0, [f"{images.url}/galaxy/1"])], asking)
        await engine.aclose()
        engine._kind = "GPU"
        with pytest.raises(EngineError, match="no node of the cluster has a GPU"):
            await engine.model()

    try:
        asyncio.run(survey())
        assert ray.is_initialized()
    finally:
        ray.shutdown()


def test_stopped_while_the_cluster_has_no_room(nodes: Nodes, images: ImageHost, settings: dict[str, str]) -> None:
    assert settings["device"] == "cpu"
    taken: list[Any] = []

    async def survey() -> None:
        engine = RayEngine(nodes.address)
        try:
            facts = await engine.model()
            asking = Asking(schema=facts.schema(full=False), files=False, detail="scores", views=1)
            taken.extend(Other.remote() for _ in range(2))
            await asyncio.gather(*(one.is_here.remote() for one in taken))
            task = asyncio.create_task(everything(engine, [Chunk(0, [f"{images.url}/galaxy/1"])], asking))
            await asyncio.to_thread(wait_for, executing, "Ray Data to look for room", RAY_SECONDS)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            # What still ran without its cluster would join another, or end the process.
            await asyncio.to_thread(wait_for, lambda: not executing(), "Ray Data to end", RAY_SECONDS)
        finally:
            await engine.aclose()

    asyncio.run(survey())
    assert not ray.is_initialized()


@ray.remote(num_cpus=1)
class Other:
    """Others' work, which takes a core."""

    def is_here(self) -> bool:
        return True


def executing() -> bool:
    return any(thread.name.startswith("StreamingExecutor") for thread in threading.enumerate())


def test_a_node_that_dies_costs_no_row(
    nodes: Nodes, images: ImageHost, service: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls = urls_of(images)
    monkeypatch.setattr(ray_engine, "WINDOW_CHUNKS", 20)
    images.hold()
    images.asked.clear()
    found: dict[int, Scored] = {}

    async def survey() -> ModelFacts:
        engine = RayEngine(nodes.address)
        try:
            facts = await engine.model()
            asking = Asking(schema=facts.schema(full=False), files=False, detail="scores", views=1)
            chunks = (Chunk(first, urls[first : first + ROWS_A_CHUNK]) for first in range(0, ROWS, ROWS_A_CHUNK))
            async with aclosing(engine.score(chunks, asking)) as answers:
                async for scored in answers:
                    assert scored.first not in found
                    found[scored.first] = scored
                    if len(found) == 5:
                        # Both nodes are at something that doesn't come before one of them is dead.
                        await asyncio.to_thread(
                            wait_for, lambda: _at_work(images) >= 2, "both nodes at work", RAY_SECONDS
                        )
                        await asyncio.to_thread(nodes.cluster.remove_node, nodes.second, allow_graceful=False)
                        images.let_go()
            return facts
        finally:
            await engine.aclose()

    facts = asyncio.run(survey())
    assert not ray.is_initialized()
    assert sorted(found) == list(range(0, ROWS, ROWS_A_CHUNK))
    assert any(images.asked[path_of(number)] > 1 for number in HELD), "what the dead node had in work is done again"
    assert {one.network for one in found.values()} == {facts.network}
    table = pa.concat_tables([found[first].table for first in sorted(found)])
    assert httpx.get(f"{service.url}/model").json()["network_sha256"] == facts.network
    answer = httpx.post(f"{service.url}/classify/batch?detail=scores", json={"urls": urls}, timeout=RAY_SECONDS)
    expected = score_rows(answer.json()["results"], facts.schema(full=False))
    assert table.schema == expected.schema
    for name in ("status", "error_code", "error_detail"):
        assert table[name].equals(expected[name])
    well = [status == "ok" for status in expected["status"].to_pylist()]
    assert 0 < well.count(False) < 20
    for name in facts.columns:
        ours, theirs = (np.array(each[name].to_pylist(), float) for each in (table, expected))
        assert (np.isnan(ours) == ~np.array(well)).all()
        np.testing.assert_allclose(ours, theirs, atol=1e-5, rtol=0)


def _at_work(images: ImageHost) -> int:
    """Return how many chunks are held back."""
    return len({int(path.rpartition("/")[2]) // ROWS_A_CHUNK for path in images.asked if path.startswith("/held/")})


def test_files_and_all_that_a_model_says(
    models: dict[str, Path], settings: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GALAXYTREE_MODEL", str(models["rich"]))
    assert settings["device"] == "cpu"
    (tmp_path / "0.jpg").write_bytes(jpeg(0, size=64))
    actor = Actor(files=True, detail="full", views=8)
    names = [str(tmp_path / name) for name in ("0.jpg", "missing.jpg")]
    table = actor(pa.table({"first": [40, 40], "place": [0, 1], "image": names}))
    facts = ModelFacts.of(ray_engine._facts())
    asking = Asking(schema=facts.schema(full=True), files=True, detail="full", views=8)
    scored = ray_engine.as_asked(table, asking)
    assert scored.schema.equals(asking.schema, check_metadata=True)
    assert scored["status"].to_pylist() == ["ok", "error"]
    assert scored["error_code"].to_pylist() == [None, "unreadable_file"]
    assert scored["summary"][0].as_py()
    assert set(table["network"].to_pylist()) == {facts.network}
    with pytest.raises(UnexpectedAnswerError, match="another model"):
        ray_engine.as_asked(table, Asking(schema=facts.schema(full=False), files=True, detail="scores", views=8))


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("127.0.0.1:1", "at 127.0.0.1:1: Connection refused"),
        ("ray://127.0.0.1:10001", "at ray://127.0.0.1:10001: an address is HOST:PORT"),
        ("somewhere", "an address is HOST:PORT"),
    ],
)
def test_an_address_without_a_cluster(address: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(EngineError, match=says):
        RayEngine(address)
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(EngineError, match=says):
        RayEngine()


def test_the_settings_of_who_calls_are_the_nodes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GALAXYTREE_MODEL", "m")
    monkeypatch.setenv("GALAXYTREE_FETCH_HOSTS", "*")
    for name in ("SCORE_OUTPUT", "API_KEY", "API_KEYS_FILE", "SERVER"):
        monkeypatch.setenv(f"GALAXYTREE_{name}", "x")
    assert ray_cluster.settings() == {"GALAXYTREE_MODEL": str(tmp_path / "m"), "GALAXYTREE_FETCH_HOSTS": "*"}
    monkeypatch.setenv("GALAXYTREE_MODEL", "/only/there")
    assert ray_cluster.settings()["GALAXYTREE_MODEL"] == "/only/there"


def test_what_the_network_runs_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GALAXYTREE_DEVICE", raising=False)
    assert ray_cluster.kind_of({"CPU": 8.0}) == "CPU"
    assert ray_cluster.kind_of({"CPU": 8.0, "GPU": 2.0}) == "GPU"
    monkeypatch.setenv("GALAXYTREE_DEVICE", "cpu")
    assert ray_cluster.kind_of({"CPU": 8.0, "GPU": 2.0}) == "CPU"


def test_why_something_failed_is_a_line() -> None:
    own, outer = EngineError("there is no model"), RuntimeError("a long story\nof the cluster")
    outer.__cause__ = own
    assert ray_cluster.reason(outer) == "there is no model"
    assert ray_cluster.reason(ValueError("one\ntwo")) == "ValueError: one"
    assert ray_cluster.reason(ValueError()) == "ValueError: "
    assert "pip install 'galaxytree[ray]'" in ray_cluster.reason(ModuleNotFoundError("No module named 'app'"))


class Cut:
    """What Ray Data might make of a data set: its tables are cut, joined, or lost."""

    def __init__(self, tables: list[pa.Table]) -> None:
        self.tables = tables
        self.context = ray.data.DataContext()

    def map_batches(self, actor: type[Actor], *, fn_constructor_args: tuple[Any, ...], **_options: Any) -> "Cut":  # noqa: ANN401
        one = actor(*fn_constructor_args)
        return Cut([one(table) for table in self.tables])

    def iter_batches(self, **_options: Any) -> Iterator[pa.Table]:  # noqa: ANN401
        whole = pa.concat_tables(self.tables)
        return iter([whole.slice(3, 5), whole.slice(0, 3), *([] if whole.num_rows == 9 else [whole.slice(8)])])


def test_tables_that_are_cut_and_joined_are_put_together_and_none_is_lost(
    settings: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert settings["device"] == "cpu"
    for number in range(4):
        (tmp_path / f"{number}.jpg").write_bytes(jpeg(number, size=64))
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 1.0})
    monkeypatch.setattr(ray.data, "from_blocks", Cut)
    asking = Asking(schema=ModelFacts.of(ray_engine._facts()).schema(full=False), files=True, detail="scores", views=1)
    paths = [str(tmp_path / f"{number}.jpg") for number in range(4)]

    def found(last: int) -> list[Scored]:
        chunks = [Chunk(0, paths), Chunk(4, paths[::-1]), Chunk(8, paths[:last])]
        return asyncio.run(everything(RayEngine(), chunks, asking))

    scored = {one.first: one.table["Class1.1"].to_pylist() for one in found(2)}
    assert scored == {0: scored[0], 4: scored[0][::-1], 8: scored[0][:2]}
    assert len(set(scored[0])) == 4
    with pytest.raises(EngineError, match="no answers for 1 rows"):
        found(1)
