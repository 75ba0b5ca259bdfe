"""One process or several: what ``torchrun`` tells, and where this process computes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import distributed


@dataclass(frozen=True)
class Process:
    """One process among those that train together.

    Attributes
    ----------
    rank, world
        Which of how many.
    device
        Where it computes.
    """

    rank: int
    world: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process writes checkpoints, logs and the progress bar."""
        return self.rank == 0

    def mean(self, value: float) -> float:
        """Return the mean of a number over all processes; each of them must ask for it."""
        if self.world == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64, device=self.device)
        distributed.all_reduce(total)
        return float(total) / self.world


@contextmanager
def joined(device: Literal["auto", "cpu", "cuda"]) -> Iterator[Process]:
    """Join the processes that ``torchrun`` started, or be the only one."""
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    on_gpu = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    place = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if on_gpu else torch.device("cpu")
    if on_gpu:
        torch.cuda.set_device(place)
    if world == 1:
        yield Process(rank, world, place)
        return
    distributed.init_process_group("nccl" if on_gpu else "gloo")
    try:
        yield Process(rank, world, place)
    finally:
        distributed.destroy_process_group()
