"""Batches of training galaxies: in the same order whenever a run is taken up, the next one fetched ahead."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.arrays import Galaxies, Images
from training.processes import Process

_IN_MEMORY_BYTES = 8 * 2**30
_ON_DEVICE_PART = 0.3
_CHUNK = 1024


class Batches:
    """One process's part of every batch.

    Parameters
    ----------
    galaxies : Galaxies
    batch_size : int
        Over all processes; divisible by their number.
    seed : int
    process : Process
        Which of how many it is, and where its batches go. Images that fit into part of what is free of a GPU's memory,
        or into this process's part of 8 GiB, are read only once.
    """

    def __init__(self, galaxies: Galaxies, batch_size: int, seed: int, process: Process) -> None:
        self._galaxies = galaxies
        self._batch_size = batch_size
        self._seed = seed
        self._device = process.device
        self._share = slice(process.rank, None, process.world)
        self._resident: Tensor | None = None
        if galaxies.images.nbytes < _ON_DEVICE_PART * _free_on(process.device):
            self._resident = _moved(galaxies.images, process.device)
        self._images: Images | NDArray[np.uint8] = galaxies.images
        if self._resident is None and galaxies.images.nbytes < _IN_MEMORY_BYTES / process.neighbours:
            self._images = galaxies.images[:]

    @property
    def steps(self) -> int:
        """Batches an epoch; galaxies that do not fill a last one wait for the next epoch's order."""
        return len(self._galaxies) // self._batch_size

    def epoch(self, epoch: int, first: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images uint8 [n, S, S, 3] and their galaxies' positions [n], from the batch `first` of an epoch on."""
        order = np.random.default_rng([self._seed, epoch]).permutation(len(self._galaxies))
        parts = [
            np.sort(order[step * self._batch_size : (step + 1) * self._batch_size][self._share])
            for step in range(first, self.steps)
        ]
        with ThreadPoolExecutor(1) as ahead:
            waiting = [ahead.submit(self._fetch, part) for part in parts[:2]]
            for position in range(len(parts)):
                batch = waiting.pop(0).result()
                if position + 2 < len(parts):
                    waiting.append(ahead.submit(self._fetch, parts[position + 2]))
                yield batch

    def _fetch(self, part: NDArray[np.intp]) -> tuple[Tensor, Tensor]:
        chosen = torch.from_numpy(part)
        if self._resident is not None:
            return self._resident[chosen.to(self._device)], chosen
        return torch.from_numpy(self._images[part]).to(self._device), chosen


def _free_on(device: torch.device) -> int:
    """Return how many bytes of a GPU's own memory nobody uses yet; a CPU has none."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 0


def _moved(images: Images, device: torch.device) -> Tensor:
    """Copy images onto a device, some at a time, so that the host never holds all of them."""
    moved = torch.empty(images.shape, dtype=torch.uint8, device=device)
    for first in range(0, len(images), _CHUNK):
        moved[first : first + _CHUNK] = torch.from_numpy(images[first : first + _CHUNK])
    return moved
