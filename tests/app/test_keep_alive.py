"""For how long a connection is kept on which nothing is asked: real sockets, and a service whose patience is short."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.protocol import Protocol
from app.settings import Settings
from tests.galaxies import jpeg
from tests.hostile.peers import Peer
from tests.servers import Held, Threaded, threaded, wait_for

SECONDS = 0.6
IMAGE = jpeg(size=150)


@pytest.fixture(scope="module")
def service(model_folder: Path) -> Iterator[Threaded]:
    settings = Settings(model=model_folder, device="cpu", workers=1, drain_seconds=0)
    with threaded(settings, Held()) as running:
        running.server.config.timeout_keep_alive = SECONDS  # type: ignore[assignment]  # it need not be whole
        yield running


@pytest.fixture
def peer(service: Threaded) -> Iterator[Peer]:
    one = Peer(service.port)
    yield one
    one.vanish()


def ask(peer: Peer) -> int:
    peer.post(f"Content-Length: {len(IMAGE)}")
    peer.say(IMAGE)
    return peer.answer().status


def closes_after(peer: Peer) -> float:
    began = time.monotonic()
    assert peer.is_closed()
    return time.monotonic() - began


def test_an_idle_connection_is_closed_in_time_and_not_before(peer: Peer) -> None:
    assert ask(peer) == 200
    assert SECONDS * 0.8 < closes_after(peer) < SECONDS + 2


def test_one_that_is_used_stays(peer: Peer) -> None:
    for _ in range(6):
        assert ask(peer) == 200
        time.sleep(SECONDS / 2)
    # And its time counts from the last answer.
    assert ask(peer) == 200
    assert closes_after(peer) > SECONDS * 0.8


def test_who_waits_for_an_answer_is_not_cut_off(service: Threaded, peer: Peer) -> None:
    assert ask(peer) == 200
    service.model.gate.clear()
    peer.post(f"Content-Length: {len(IMAGE)}")
    peer.say(IMAGE)
    time.sleep(SECONDS * 2)
    service.model.gate.set()
    assert peer.answer().status == 200
    assert closes_after(peer) > SECONDS * 0.8


def test_who_has_begun_to_ask_is_not_cut_off(peer: Peer) -> None:
    assert ask(peer) == 200
    head = Peer.head("POST", "/classify", f"Content-Length: {len(IMAGE)}")
    peer.say(head[:20])
    time.sleep(SECONDS * 2)
    peer.say(head[20:] + IMAGE)
    assert peer.answer().status == 200


def test_an_empty_line_is_no_request(peer: Peer) -> None:
    assert ask(peer) == 200
    peer.say(b"\r\n")
    assert closes_after(peer) < SECONDS + 2


def test_no_timer_outlives_a_connection(service: Threaded, peer: Peer) -> None:
    assert ask(peer) == 200
    (connection,) = service.server.server_state.connections
    assert isinstance(connection, Protocol)
    timer = connection.timeout_keep_alive_task
    assert timer is not None
    peer.vanish()
    wait_for(timer.cancelled, "the timer to be cancelled")
