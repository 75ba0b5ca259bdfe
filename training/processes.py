"""One process or several: what ``torchrun`` tells, and where this process computes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import distributed

from training.runs import RunError


@dataclass(frozen=True)
class Process:
    """One process among those that train together.

    Attributes
    ----------
    rank, world
        Which of how many.
    device
        Where it computes.
    neighbours
        How many of them share this machine, and its memory.
    """

    rank: int
    world: int
    device: torch.device
    neighbours: int = 1

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


def own_rank() -> int:
    """Return which of the processes that ``torchrun`` started this one is; 0 if it is the only one."""
    return int(os.environ.get("RANK", "0"))


@contextmanager
def joined(device: Literal["auto", "cpu", "cuda"]) -> Iterator[Process]:
    """Join the processes that ``torchrun`` started, or be the only one.

    Raises
    ------
    RunError
        If a GPU is asked for and PyTorch finds none.
    """
    if device == "cuda" and not torch.cuda.is_available():
        msg = (
            f"--device=cuda, but PyTorch {torch.__version__} finds no CUDA device here; give --device=cpu, or install "
            "NVIDIA's driver and a PyTorch that is built for CUDA"
        )
        raise RunError(msg)
    on_gpu = device != "cpu" and torch.cuda.is_available()
    place = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if on_gpu else torch.device("cpu")
    if on_gpu:
        torch.cuda.set_device(place)
        # Else cuDNN may take another algorithm, which rounds otherwise, each time that a run is taken up.
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    world, neighbours = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    process = Process(own_rank(), world, place, neighbours)
    if world == 1:
        yield process
        return
    distributed.init_process_group("nccl" if on_gpu else "gloo")
    try:
        yield process
    finally:
        distributed.destroy_process_group()
