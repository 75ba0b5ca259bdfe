"""Train and measure one system after the other; what is finished stays, and is not done again."""

import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from training.arrays import Galaxies, read_galaxies
from training.batches import Batches
from training.compare.drawn import drawn_galaxies
from training.compare.fitting import WARMUP, WEIGHT_DECAY, Lesson, fit
from training.compare.measuring import errors, scores_of, size
from training.compare.page import see_writable
from training.compare.results import CompareError, Machine, Result, Terms, path_of, read_result, write_result
from training.compare.settings import CompareSettings
from training.compare.system import System
from training.compare.systems import SYSTEMS
from training.processes import Process, joined
from training.runs import git_commit, machine

TREE = "galaxy-zoo-2"


def compare(settings: CompareSettings) -> list[Result]:
    """Train and measure the chosen systems.

    Returns
    -------
    list of Result
        What is known of every system that was ever finished with these settings, in the order of the table.

    Raises
    ------
    CompareError, ArrayFileError, RunError
        If a system is not known, if the galaxies do not do, or if an earlier result can't be read.
    """
    chosen = _chosen(settings.systems)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    with joined(settings.device) as process:
        if process.world > 1:
            msg = f"a comparison is of one process, and there are {process.world}; start it without torchrun"
            raise CompareError(msg)
        galaxies = read_galaxies(settings.data)
        if galaxies.tree.name != TREE:
            msg = f"{settings.data} holds galaxies of the tree {galaxies.tree.name}; the systems are compared on {TREE}"
            raise CompareError(msg)
        rooms = _Rooms(galaxies, settings, process)
        # All that could go wrong, before hours are spent.
        for system in chosen:
            rooms.of(system).see_enough(system)
            see_writable(path_of(settings.folder, system.name), "--output")
        found = _finished(rooms, settings.folder)
        for system in chosen:
            if system.name not in found:
                found[system.name] = rooms.of(system).result(system)
                write_result(settings.folder, found[system.name])
    return [found[name] for name in SYSTEMS if name in found]


def _finished(rooms: "_Rooms", folder: Path) -> dict[str, Result]:
    """Return what was found earlier and still holds; CompareError if it can't be read."""
    found = {}
    for system in SYSTEMS.values():
        # Networks are made only for those that have a result.
        if path_of(folder, system.name).exists():
            room = rooms.of(system)
            result = read_result(folder, system.name, room.terms(system, system.network(room.tree)))
            if result is not None:
                found[system.name] = result
    return found


class _Rooms:
    """The room of each system; that of the made-up galaxies is built only for those who ask for it."""

    def __init__(self, galaxies: Galaxies, settings: CompareSettings, process: Process) -> None:
        self._galaxies, self._settings, self._process = galaxies, settings, process
        self._built: dict[bool, _Room] = {}

    def of(self, system: System) -> "_Room":
        if system.made_up not in self._built:
            galaxies = drawn_galaxies() if system.made_up else self._galaxies
            self._built[system.made_up] = _Room(galaxies, self._settings, self._process)
        return self._built[system.made_up]


class _Room:
    """The galaxies that systems learn from and are measured on; batches are made when they are first asked for."""

    def __init__(self, galaxies: Galaxies, settings: CompareSettings, process: Process) -> None:
        known = ~np.isnan(galaxies.votes).all(axis=1)
        self.tree = galaxies.tree
        self.learning = galaxies.where(galaxies.learning & known)
        self.unseen = galaxies.where(galaxies.validation & known)
        self.settings, self.process = settings, process
        self._lesson: Lesson | None = None

    def see_enough(self, system: System) -> None:
        """See that there are galaxies for a batch, and some to measure on; CompareError if not."""
        if len(self.learning) < self.settings.batch_size or not len(self.unseen):
            msg = (
                f"{len(self.learning)} galaxies to learn from and {len(self.unseen)} to measure on do not do for "
                f"batches of {self.settings.batch_size}"
            )
            if system.made_up:
                msg += f"; these are the made-up ones of {system.name}, which --systems can leave out"
            raise CompareError(msg)

    def lesson(self) -> Lesson:
        if self._lesson is None:
            batches = Batches(self.learning, self.settings.batch_size, self.settings.seed, self.process)
            self._lesson = Lesson(self.learning, batches, self.settings, self.process.device)
        return self._lesson

    def terms(self, system: System, network: nn.Module) -> Terms:
        """Return all that decides the result of a system with this network."""
        return Terms(
            galaxies_seen=self.settings.steps * self.settings.batch_size,
            batch_size=self.settings.batch_size,
            seed=self.settings.seed,
            precision=self.settings.precision,
            learning_rate=system.learning_rate,
            weight_decay=WEIGHT_DECAY,
            warmup=WARMUP,
            system_sha256=system.digest(network),
            data_sha256=self.learning.sha256,
            learning=len(self.learning),
            validation=len(self.unseen),
        )

    def result(self, system: System) -> Result:
        """Train and measure one system."""
        lesson, device = self.lesson(), self.process.device
        torch.manual_seed(self.settings.seed)
        network = system.network(self.tree).to(device)
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        counted = size(system, network, self.unseen, device)
        began = time.monotonic()
        losses = fit(system, network, lesson)
        trained = time.monotonic()
        found = errors(system, scores_of(system, network, self.unseen, self.settings, device), self.unseen)
        part = max(len(losses) // 10, 1)
        return Result(
            system=system.name,
            terms=self.terms(system, network),
            commit=git_commit(),
            **found,
            parameters=counted.parameters,
            multiply_adds=counted.multiply_adds,
            images_per_second=self.settings.steps * self.settings.batch_size / (trained - began) if losses else None,
            minutes=(time.monotonic() - began) / 60,
            loss=(float(np.mean(losses[:part])), float(np.mean(losses[-part:]))) if losses else None,
            machine=Machine(device=device.type, **machine()),
        )


def _chosen(names: str) -> list[System]:
    """Return the systems of these names, in the order of the table."""
    wanted = {name.strip() for name in names.split(",")} - {""}
    unknown = sorted(wanted - {"all", *SYSTEMS})
    if unknown or not wanted:
        msg = f"there is no system {', '.join(unknown) or 'without a name'}; known are all, {', '.join(SYSTEMS)}"
        raise CompareError(msg)
    return [system for name, system in SYSTEMS.items() if name in wanted or "all" in wanted]
