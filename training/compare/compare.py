"""Train and measure one system after the other; what is finished stays, and is not done again."""

import json
import time
from typing import Any

import numpy as np
import torch

from training.arrays import Galaxies, read_galaxies
from training.batches import Batches
from training.compare.drawn import drawn_galaxies
from training.compare.fitting import Lesson, fit
from training.compare.measuring import errors, scores_of, size
from training.compare.settings import CompareSettings
from training.compare.system import System
from training.compare.systems import SYSTEMS
from training.processes import Process, joined
from training.runs import machine, write_safely

TREE = "galaxy-zoo-2"

Result = dict[str, Any]


class CompareError(ValueError):
    """A comparison that can't be made; the message says why."""


def compare(settings: CompareSettings) -> list[Result]:
    """Train and measure the chosen systems.

    Returns
    -------
    list of dict
        What is known of every system that was ever finished with these settings, in the order of the table.

    Raises
    ------
    CompareError, ArrayFileError, RunError
        If a system is not known, or if the galaxies do not do.
    """
    chosen = _chosen(settings.systems)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    galaxies = read_galaxies(settings.data)
    if galaxies.tree.name != TREE:
        msg = f"{settings.data} holds galaxies of the tree {galaxies.tree.name}; the systems are compared on {TREE}"
        raise CompareError(msg)
    settings.folder.mkdir(parents=True, exist_ok=True)
    with joined(settings.device) as process:
        rooms = {False: _Room(galaxies, settings, process), True: _Room(drawn_galaxies(), settings, process)}
        for system in chosen:
            room = rooms[system.made_up]
            if _finished(system, room.terms(system), settings) is None:
                write_result(room.result(system), settings)
    return [
        result
        for system in SYSTEMS.values()
        if (result := _finished(system, rooms[system.made_up].terms(system), settings)) is not None
    ]


class _Room:
    """The galaxies that systems learn from and are measured on; batches are made when they are first asked for."""

    def __init__(self, galaxies: Galaxies, settings: CompareSettings, process: Process) -> None:
        known = ~np.isnan(galaxies.votes).all(axis=1)
        self.learning = galaxies.where(galaxies.learning & known)
        self.unseen = galaxies.where(galaxies.validation & known)
        self.settings, self.process = settings, process
        self._lesson: Lesson | None = None
        if len(self.learning) < settings.batch_size or not len(self.unseen):
            msg = (
                f"{len(self.learning)} galaxies to learn from and {len(self.unseen)} to measure on do not do for "
                f"batches of {settings.batch_size}"
            )
            raise CompareError(msg)

    def lesson(self) -> Lesson:
        if self._lesson is None:
            batches = Batches(self.learning, self.settings.batch_size, self.settings.seed, self.process)
            self._lesson = Lesson(self.learning, batches, self.settings, self.process.device)
        return self._lesson

    def terms(self, system: System) -> Result:
        """Return all that decides a result, so that it is known whether one still holds."""
        return {
            "galaxies_seen": self.settings.steps * self.settings.batch_size,
            "batch_size": self.settings.batch_size,
            "seed": self.settings.seed,
            "precision": self.settings.precision,
            "learning_rate": system.learning_rate,
            "data_sha256": self.learning.sha256,
            "learning": len(self.learning),
            "validation": len(self.unseen),
        }

    def result(self, system: System) -> Result:
        """Train and measure one system."""
        lesson, device = self.lesson(), self.process.device
        torch.manual_seed(self.settings.seed)
        network = system.network(self.learning.tree).to(device)
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        counted = size(system, network, self.unseen, device)
        began = time.monotonic()
        losses = fit(system, network, lesson)
        trained = time.monotonic()
        found = errors(system, scores_of(system, network, self.unseen, self.settings, device), self.unseen)
        part = max(len(losses) // 10, 1)
        return {
            "system": system.name,
            "terms": self.terms(system),
            **found,
            **counted,
            "images_per_second": self.settings.steps * self.settings.batch_size / (trained - began) if losses else None,
            "minutes": (time.monotonic() - began) / 60,
            "loss": [float(np.mean(losses[:part])), float(np.mean(losses[-part:]))] if losses else None,
            "machine": machine() | {"device": device.type},
        }


def write_result(result: Result, settings: CompareSettings) -> None:
    """Keep what is known of a system, whole or not at all."""
    text = json.dumps(result, indent=2) + "\n"
    write_safely(settings.folder / f"{result['system']}.json", lambda file: file.write(text.encode()))


def _finished(system: System, terms: Result, settings: CompareSettings) -> Result | None:
    """Return what was found of a system under the same terms; None if it is to be trained."""
    path = settings.folder / f"{system.name}.json"
    if not path.is_file():
        return None
    result: Result = json.loads(path.read_bytes())
    return result if result["terms"] == terms else None


def _chosen(names: str) -> list[System]:
    """Return the systems of these names, in the order of the table."""
    wanted = {name.strip() for name in names.split(",")} - {""}
    unknown = sorted(wanted - {"all", *SYSTEMS})
    if unknown or not wanted:
        msg = f"there is no system {', '.join(unknown) or 'without a name'}; known are all, {', '.join(SYSTEMS)}"
        raise CompareError(msg)
    return [system for name, system in SYSTEMS.items() if name in wanted or "all" in wanted]
