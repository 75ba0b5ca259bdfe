"""Batches: every galaxy once an epoch, in an order that follows from the seed, shared among the processes."""

from pathlib import Path

import numpy as np
import pytest
import torch

from galaxytree.imaging import Framing
from tests.training.galaxies import write_galaxies
from training import batches as batches_module
from training.arrays import Galaxies, Images, read_galaxies
from training.batches import Batches, _free_on
from training.processes import Process

CPU = torch.device("cpu")
ALONE = Process(0, 1, CPU)


@pytest.fixture
def galaxies(tmp_path: Path) -> Galaxies:
    return read_galaxies(write_galaxies(tmp_path / "g.h5", 22, validation=0, framing=Framing(size=8, field=1)))


def seen(galaxies: Galaxies, batches: Batches, epoch: int, first: int = 0) -> list[list[int]]:
    """Return the positions of the galaxies in each batch, told by their pixels."""
    numbers = {image.tobytes(): number for number, image in enumerate(galaxies.images)}
    found = []
    for images, chosen in batches.epoch(epoch, first):
        positions = [numbers[image.numpy().tobytes()] for image in images]
        np.testing.assert_array_equal(chosen.numpy(), positions)
        found.append(positions)
    return found


def test_an_epoch_sees_every_galaxy_at_most_once_in_whole_batches(galaxies: Galaxies) -> None:
    batches = Batches(galaxies, 5, 1, ALONE)
    assert batches.steps == 4
    first, second = seen(galaxies, batches, 0), seen(galaxies, batches, 1)
    assert [len(batch) for batch in first] == [5, 5, 5, 5]
    assert len(set(sum(first, []))) == 20  # noqa: RUF017
    assert first != second


def test_the_order_follows_from_the_seed_and_is_taken_up_anywhere(galaxies: Galaxies) -> None:
    whole = seen(galaxies, Batches(galaxies, 5, 1, ALONE), 3)
    again = Batches(galaxies, 5, 1, ALONE)
    assert seen(galaxies, again, 3) == whole
    assert seen(galaxies, again, 3, first=2) == whole[2:]
    assert seen(galaxies, again, 3, first=4) == []
    assert seen(galaxies, Batches(galaxies, 5, 2, ALONE), 3) != whole


def test_images_that_do_not_fit_into_memory_are_read_batch_by_batch(
    galaxies: Galaxies, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = seen(galaxies, Batches(galaxies, 5, 1, ALONE), 2)
    monkeypatch.setattr(batches_module, "_IN_MEMORY_BYTES", 0)
    assert seen(galaxies, Batches(galaxies, 5, 1, ALONE), 2) == expected


def test_processes_share_the_memory_of_their_machine(galaxies: Galaxies, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches_module, "_IN_MEMORY_BYTES", 2 * galaxies.images.nbytes)
    assert isinstance(Batches(galaxies, 6, 1, Process(0, 2, CPU, neighbours=1))._images, np.ndarray)
    assert Batches(galaxies, 6, 1, Process(0, 2, CPU, neighbours=2))._images is galaxies.images


def test_images_that_fit_onto_the_device_are_copied_there_some_at_a_time(
    galaxies: Galaxies, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = seen(galaxies, Batches(galaxies, 5, 1, ALONE), 2)
    read = []

    def spied(images: Images, chosen: slice) -> np.ndarray:
        read.append(pixels := original(images, chosen))
        return pixels

    original = Images.__getitem__
    monkeypatch.setattr(batches_module, "_free_on", lambda device: 4 * galaxies.images.nbytes)  # noqa: ARG005
    monkeypatch.setattr(batches_module, "_CHUNK", 8)
    with monkeypatch.context() as spying:
        spying.setattr(Images, "__getitem__", spied)
        batches = Batches(galaxies, 5, 1, ALONE)
    assert [len(pixels) for pixels in read] == [8, 8, 6]
    assert seen(galaxies, batches, 2) == expected


def test_only_memory_that_nobody_uses_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (7, 100))  # noqa: ARG005
    assert _free_on(torch.device("cuda")) == 7
    assert _free_on(CPU) == 0


def test_processes_share_each_batch(galaxies: Galaxies) -> None:
    alone = seen(galaxies, Batches(galaxies, 6, 1, ALONE), 0)
    shares = [seen(galaxies, Batches(galaxies, 6, 1, Process(rank, 3, CPU)), 0) for rank in range(3)]
    for step, batch in enumerate(alone):
        assert [len(share[step]) for share in shares] == [2, 2, 2]
        assert sorted(shares[0][step] + shares[1][step] + shares[2][step]) == batch


def test_a_set_that_does_not_fill_a_batch_has_no_steps(galaxies: Galaxies) -> None:
    assert Batches(galaxies, 23, 1, ALONE).steps == 0
