"""Faults: what became of a request is told right, and nothing that was accepted can hide among what was not."""

import asyncio
import contextlib
import itertools
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path

import pytest
import uvloop
from click.testing import CliRunner

from benchmarks import __main__ as command_line
from benchmarks.__main__ import main
from benchmarks.client import post
from benchmarks.failures import NotServedError
from benchmarks.faults import asking, performing, reloading, surroundings
from benchmarks.faults.accounts import Accounts, Outcome, in_words
from benchmarks.faults.asking import CLOSED, REFUSED, UNREAD, Ask, Line
from benchmarks.faults.judging import Asks, Code, Failed, Right, Scores, expecting
from benchmarks.faults.load import Load, most
from benchmarks.faults.page import FaultResults, publish
from benchmarks.faults.performing import EVERY, FaultSettings, run_faults
from benchmarks.faults.stage import FaultRow, NotThereError, perform
from benchmarks.images import Images, made
from benchmarks.scoring import MODEL_FOLDER, Scorer
from benchmarks.systems import System, service
from galaxytree.card import MODEL_FILE, ModelCard, sha256_of
from tests.benchmarks.answering import SILENCE, answering
from tests.benchmarks.made_up import results as made_up
from tests.tiny_model import write_model

SCORES = {"scores": {"smooth": 0.25}, "model": {"version": "7"}}
ASK = Ask(post("/classify", b"image"), expecting(HTTPStatus.OK, Scores(SCORES["scores"])))


def saying(status: int, said: object) -> bytes:
    body = json.dumps(said).encode()
    return f"HTTP/1.1 {status} Any\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def asked(port: int, ask: Ask = ASK) -> Outcome:
    async def go() -> Outcome:
        line = Line(port)
        try:
            return await line.ask(ask)
        finally:
            line.close()

    return uvloop.run(go())


@pytest.mark.parametrize(
    ("said", "fate", "why"),
    [
        (saying(200, SCORES), "answered", "200"),
        (saying(200, {"scores": {"smooth": 0.26}}), "lost", "200 with a wrong answer"),
        (saying(200, {"scores": {}}), "lost", "200 with a wrong answer"),
        (saying(200, []), "lost", "200 with a wrong answer"),
        (saying(429, {"code": "overloaded"}), "refused", "429 overloaded"),
        (saying(503, {"code": "not_ready"}), "refused", "503 not_ready"),
        (saying(503, {"code": "deadline_exceeded"}), "lost", "503 deadline_exceeded"),
        (saying(500, {"code": "internal_error"}), "lost", "500 internal_error"),
        (saying(422, {"code": "undecodable_image"}), "lost", "422 undecodable_image"),
        (b"HTTP/1.1 502 Any\r\nContent-Length: 0\r\n\r\n", "lost", "502 without JSON"),
        (saying(200, SCORES)[:-3] + b"close", "lost", "broken answer"),
        (b"", "lost", "connection closed, no answer"),
        (b"hello, hello\r\n\r\n", "lost", "not HTTP"),
    ],
    ids=lambda each: None if isinstance(each, bytes) else each,
)
def test_what_became_of_a_request(said: bytes, fate: str, why: str) -> None:
    with answering(said) as port:
        outcome = asked(port)
    assert (outcome.fate, outcome.why) == (fate, why)


def test_a_connection_that_stays_open_is_used_again() -> None:
    def answer_thrice(connection: socket.socket) -> None:
        for code in ("overloaded", "not_ready", "overloaded"):
            connection.recv(65536)
            connection.sendall(saying(429, {"code": code}))
        connection.close()

    async def go(port: int) -> list[Outcome]:
        line = Line(port)
        found = [await line.ask(ASK) for _ in range(3)]
        line.close()
        return found

    # No other connection is taken there.
    with treating(answer_thrice) as port:
        assert [each.why for each in uvloop.run(go(port))] == ["429 overloaded", "429 not_ready", "429 overloaded"]


@contextlib.contextmanager
def treating(treat: Callable[[socket.socket], object]) -> Iterator[int]:
    """Treat one connection in some way."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=lambda: treat(listening.accept()[0]))
        thread.start()
        yield listening.getsockname()[1]
        thread.join()


def leave_unread(connection: socket.socket) -> None:
    # It has come, and nobody has read it.
    assert connection.recv(1, socket.MSG_PEEK)
    connection.close()


def take_all(connection: socket.socket) -> None:
    assert connection.recv(65536)
    connection.close()


def test_what_was_not_read_was_not_taken() -> None:
    with treating(leave_unread) as port:
        outcome = asked(port)
        assert (outcome.fate, outcome.why) == ("away", UNREAD)
    with treating(take_all) as port:
        assert asked(port).fate == "lost"


def test_what_came_after_the_end_was_not_taken() -> None:
    async def go(port: int) -> Outcome:
        line = Line(port)
        first = await line.ask(ASK)
        assert first.fate == "answered"
        # It has closed meanwhile, which this client does not look at before it sends.
        ended.wait(60)
        return await line.ask(ASK)

    ended = threading.Event()

    def answer_once(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(saying(200, SCORES))
        connection.close()
        ended.set()

    with treating(answer_once) as port:
        outcome = uvloop.run(go(port))
    assert outcome.fate == "away"
    assert outcome.why in {UNREAD, CLOSED, REFUSED}


def test_where_nobody_listens_nothing_is_taken() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        assert asked(closed.getsockname()[1]) == Outcome("away", REFUSED)


def test_a_request_that_is_never_answered_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "PATIENCE_SECONDS", 0.3)
    with answering(SILENCE) as port:
        assert asked(port).fate == "lost"


@pytest.mark.parametrize(
    ("right", "said", "is_so"),
    [
        (Right(), {}, True),
        (Code("a"), {"code": "a"}, True),
        (Code("a"), {"code": "b"}, False),
        (Failed(1, frozenset("a")), {"results": [{"error": {"code": "a"}}]}, True),
        (Failed(1, frozenset("a")), {"results": [{"error": {"code": "b"}}]}, False),
        (Failed(2, frozenset("a")), {"results": [{"error": {"code": "a"}}]}, False),
        (Failed(1, frozenset("a")), {"results": [{"classification": {}}]}, False),
    ],
)
def test_other_answers_are_judged_too(right: Right, said: object, is_so: bool) -> None:  # noqa: FBT001
    assert right(said) is is_so


def test_what_is_right_is_learnt_from_images_by_themselves() -> None:
    with answering(saying(200, SCORES)) as port:
        asks = uvloop.run(Asks.learn(port, "/classify", [b"image"] * 9))
        assert [b"multipart" in each.request for each in asks.every].count(True) == 1
        assert asked(port, asks.every[0]).fate == "answered"
    assert asks.versions == {"7"}
    with answering(saying(200, {"smooth": 1})) as port, pytest.raises(NotServedError):
        uvloop.run(Asks.learn(port, "/classify", [b"image"]))


def test_a_load_comes_at_its_rate_until_it_is_stopped() -> None:
    async def go(port: int) -> Accounts:
        load = Load(port, itertools.cycle([ASK]), rate=200, lines=4)
        running = asyncio.ensure_future(load.run())
        while load.accounts.sent < 40:  # noqa: ASYNC110  (it counts, and tells nobody)
            await asyncio.sleep(0.01)
        load.stop()
        await running
        assert load.answered_since(float("inf"))
        return load.accounts

    with answering(saying(200, SCORES), saying(500, {"code": "internal_error"})) as port:
        accounts = uvloop.run(go(port))
    assert accounts.answered == pytest.approx(accounts.lost["500 internal_error"], abs=4)
    assert accounts.sent == accounts.accepted
    assert accounts.times.number == accounts.answered
    with answering(saying(200, SCORES)) as port:
        assert uvloop.run(most(port, itertools.cycle([ASK]), 0.2, lines=2)) > 0


def test_accounts_add_up() -> None:
    one, other = Accounts(), Accounts()
    for fate, why in (("answered", "200"), ("refused", "429"), ("away", "gone"), ("lost", "500"), ("lost", "500")):
        one.note(Outcome(fate, why, 0.5))  # type: ignore[arg-type]
    other.note(Outcome("lost", "broken"))
    other.note(Outcome("answered", "200", 0.1))
    one.add(other)
    assert (one.sent, one.accepted, one.answered, one.lost_in_all) == (7, 5, 2, 3)
    assert in_words(one.lost) == "2 500, 1 broken"
    assert in_words({}) == "0"
    assert one.times.most_ms == 500


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> System:
    """Return the service with a small model."""
    folder = write_model(tmp_path_factory.mktemp("faults") / "tiny")
    return replace(service("fp32", "cpu"), variables={"GALAXYTREE_MODEL": str(folder)})


IMAGES = tuple(made(seed) for seed in range(4))


def happens(name: str, system: System) -> FaultRow:
    (fault,) = (each for each in EVERY if each.name == name)
    return perform(fault, system, IMAGES, 0.02)


@pytest.mark.parametrize(
    ("name", "happened"),
    [
        ("sigterm", {"SIGTERM": 1, "exit status 0": 1}),
        ("killed-worker", {"single workers killed": 1, "times that all were killed at once": 1}),
        ("half-open", {"half-open connections reached": 200}),
        ("slow-bodies", {"slow clients": 4}),
    ],
)
def test_nothing_that_was_accepted_is_lost(name: str, happened: dict[str, int], tiny: System) -> None:
    row = happens(name, tiny)
    assert row.happened.items() >= happened.items()
    assert row.missed == []
    assert row.accounts.lost == {}
    assert row.met


def test_a_model_is_exchanged_where_the_service_does_that() -> None:
    row = happens("reload", service("fp32", "cpu"))
    assert row.met is not False, row
    assert row.absent is None or "SIGHUP" in row.absent


def test_releases_differ_in_their_versions_alone(tmp_path: Path) -> None:
    versions = []
    for number in range(6):
        versions.append(reloading.release(tmp_path, number))
        reloading.lead(tmp_path, versions[-1])
    assert len(set(versions)) == 6
    card = ModelCard.read(tmp_path / versions[3])
    assert card.version == versions[3]
    assert card.sha256 == sha256_of(tmp_path / versions[3] / MODEL_FILE)
    scorers = [Scorer(each / MODEL_FILE) for each in (MODEL_FOLDER, tmp_path / versions[3])]
    one, other = (scorer.run([scorer.read(IMAGES[0])]) for scorer in scorers)
    assert (one == other).all()
    assert (tmp_path / "current").resolve().name == versions[-1]
    assert len([*tmp_path.glob("0*")]) == 4


def test_what_is_not_there_is_named_and_no_failure(tiny: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surroundings.shutil, "which", lambda _: None)
    row = happens("full-disk", tiny)
    assert row.absent == "a small disk can't be mounted here: there is no mount"
    assert row.met is None


def run(monkeypatch: pytest.MonkeyPatch, folder: Path, does: Callable[..., FaultRow], *names: str) -> str:
    monkeypatch.setattr(performing, "galaxies", lambda *_: Images((b"image",), "none"))
    monkeypatch.setattr(performing, "perform", does)
    monkeypatch.setattr(performing, "RESULTS", folder / "whole")
    monkeypatch.setattr(performing, "PARTIAL_RESULTS", folder / "part")
    page = run_faults(names, FaultSettings(), "bench", lambda _: None)
    return str(page.relative_to(folder)).partition("/")[0] + "\n" + page.read_text("utf-8")


def row(fault: object, *_: object, **of: object) -> FaultRow:
    accounts = Accounts(answered=9)
    return FaultRow(fault="f", title=str(getattr(fault, "title", fault)), accounts=accounts).model_copy(update=of)


def test_a_whole_run_is_published_and_a_part_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(monkeypatch, tmp_path, row)
    assert whole.startswith("whole")
    assert whole.count("| met |") == len(EVERY)
    assert run(monkeypatch, tmp_path, row, "clock").startswith("part")

    def dies(*_: object) -> FaultRow:
        msg = "the process has ended"
        raise NotServedError(msg)

    died = run(monkeypatch, tmp_path, dies)
    assert died.count("**the process has ended**") == died.count("**not met**") == len(EVERY)


@pytest.mark.parametrize(
    ("of", "mark"),
    [
        ({"accounts": Accounts(answered=9, refused={"429 overloaded": 3}, away={"no connection": 2})}, "met"),
        ({"accounts": Accounts(answered=9, lost={"500 internal_error": 1})}, "**not met**"),
        ({"beside": Accounts(answered=9, lost={"broken answer": 1})}, "**not met**"),
        ({"missed": ["exit status 1"]}, "**not met**"),
        ({"accounts": Accounts()}, "**not met**"),
        ({"absent": "no root"}, "not done"),
    ],
)
def test_what_was_reached_is_said(of: dict[str, object], mark: str, tmp_path: Path) -> None:
    like = made_up()
    results = FaultResults(
        command="bench", machine=like.machine, commit=like.commit, model=like.model, rows=[row("it", **of)]
    )
    page = publish(results, tmp_path).read_text("utf-8")
    assert page.count(f"| {mark} |") == 1
    assert "not to be published" in page


def test_pages_are_written_anew_from_their_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = run(monkeypatch, tmp_path, row).partition("\n")[2]
    (page,) = (tmp_path / "whole" / "faults").glob("*.md")
    page.unlink()
    monkeypatch.setattr(command_line, "RESULTS", tmp_path / "whole")
    done = CliRunner().invoke(main, ["table"])
    assert done.exit_code == 0, done.output
    assert page.read_text("utf-8") == text


def test_small_disks_need_root(tiny: System) -> None:
    if os.geteuid() == 0:
        # Some containers have root that may not mount either.
        with contextlib.suppress(NotThereError):
            assert happens("full-disk", tiny).met is not False
    else:
        with pytest.raises(NotThereError, match="root"), surroundings.small_disk(tiny):
            pass
