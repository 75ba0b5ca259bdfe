"""Who is refused because the service is full, and asks again at once: real sockets."""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app.protocol import REFUSED_SECONDS
from app.settings import Settings
from tests.galaxies import jpeg
from tests.hostile.peers import Peer
from tests.servers import Held, Threaded, threaded, wait_for

IMAGE = jpeg(size=150)
REQUEST = Peer.head("POST", "/classify", f"Content-Length: {len(IMAGE)}") + IMAGE


@pytest.fixture
def full(model_folder: Path) -> Iterator[Threaded]:
    """Return a service that has an image in service, and takes no other."""
    settings = Settings(model=model_folder, device="cpu", workers=1, drain_seconds=0, queue_images=1)
    with threaded(settings, Held()) as service:
        service.model.gate.clear()
        with closing(Peer(service.port).socket) as first:
            first.sendall(REQUEST)
            wait_for(lambda: service.admission.images == 1, "the image")
            yield service
            service.model.gate.set()
            assert first.recv(20).startswith(b"HTTP/1.1 200")


def ask(peer: Peer) -> float:
    """Ask, be refused, and return how long that took."""
    began = time.monotonic()
    peer.say(REQUEST)
    assert peer.answer().status == 429
    return time.monotonic() - began


def test_who_asks_again_at_once_is_heard_a_little_later_and_the_others_as_ever(full: Threaded) -> None:
    hasty, other = Peer(full.port), Peer(full.port)
    ask(hasty)
    hasty.say(REQUEST)
    began = time.monotonic()
    assert ask(other) < REFUSED_SECONDS / 2
    assert hasty.answer().status == 429
    assert time.monotonic() - began > REFUSED_SECONDS / 2
    hasty.vanish()
    other.vanish()


def test_who_waits_as_asked_does_not_notice(full: Threaded) -> None:
    patient = Peer(full.port)
    ask(patient)
    time.sleep(1)
    assert ask(patient) < REFUSED_SECONDS / 2
    patient.vanish()


def test_who_goes_after_being_refused_is_gone(full: Threaded) -> None:
    connections = full.server.server_state.connections
    peer = Peer(full.port)
    ask(peer)
    assert len(connections) == 2
    peer.vanish()
    wait_for(lambda: len(connections) == 1, "the connection to go")
