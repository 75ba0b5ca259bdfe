"""How a system learns: the same flat loop for all networks, least squares for regressions."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from tqdm import tqdm

from training.arrays import Galaxies
from training.batches import Batches
from training.compare.settings import CompareSettings
from training.compare.system import System
from training.networks.classic.regression import Regression
from training.schedule import decayed, schedule

WARMUP = 0.1
WEIGHT_DECAY = 0.02
"""Both as in our own training."""

_STEPS_PER_SEED = 2**32


@dataclass(frozen=True)
class Lesson:
    """What all systems learn from, and how long.

    Attributes
    ----------
    galaxies
        Those that may be learnt from.
    batches
        Of the same galaxies.
    settings
    device
        Where the batches lie.
    """

    galaxies: Galaxies
    batches: Batches
    settings: CompareSettings
    device: torch.device

    def seen(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images and votes, as many batches as the budget has."""
        votes = torch.from_numpy(self.galaxies.votes)
        epochs = (self.batches.epoch(epoch) for epoch in itertools.count())
        for images, positions in itertools.islice(itertools.chain.from_iterable(epochs), self.settings.steps):
            yield images, votes[positions.cpu()].to(self.device)


def fit(system: System, network: nn.Module, lesson: Lesson) -> list[float]:
    """Train a system's network.

    Returns
    -------
    list of float
        The loss of every step; none for a regression.
    """
    if isinstance(network, Regression):
        _fit_at_once(system, network, lesson)
        return []
    return _descend(system, network, lesson)


def _fit_at_once(system: System, network: Regression, lesson: Lesson) -> None:
    steps = min(lesson.batches.steps, lesson.settings.steps)
    # A galaxy that is seen twice says nothing new to least squares.
    seen = itertools.islice(lesson.seen(), steps)
    looks = [(system.look(images, lesson.galaxies.framing, None), votes) for images, votes in seen]
    network.fit(torch.cat([values for values, _ in looks]), torch.cat([votes for _, votes in looks]))


def _descend(system: System, network: nn.Module, lesson: Lesson) -> list[float]:
    settings, steps = lesson.settings, lesson.settings.steps
    chosen = system.columns(lesson.galaxies.tree)
    largest = system.learning_rate or 0.0
    optimizer = torch.optim.AdamW(decayed(network, WEIGHT_DECAY), lr=largest)
    losses: list[float] = []
    network.train()
    progress = tqdm(total=steps, desc=system.name, unit="step", leave=False, smoothing=0.05)
    for step, (images, votes) in enumerate(lesson.seen()):
        # The same chances for every system, so that they differ by nothing else.
        chance = settings.seed * _STEPS_PER_SEED + step
        torch.manual_seed(chance)
        views = system.look(images, lesson.galaxies.framing, torch.Generator().manual_seed(chance))
        for group in optimizer.param_groups:
            group["lr"] = largest * schedule(step / steps, WARMUP)
        scores = run(network, views, settings, lesson.device)
        loss = system.loss(scores, votes[:, chosen])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
        progress.update()
        progress.set_postfix(loss=f"{losses[-1]:.4f}", refresh=False)
    progress.close()
    return losses


def run(network: nn.Module, views: Tensor, settings: CompareSettings, device: torch.device) -> Tensor:
    """Map views to scores float32 in the arithmetic and the order of memory in which convolutions are fast."""
    if views.ndim == 4:
        views = views.contiguous(memory_format=torch.channels_last)
    with torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bf16"):
        scores: Tensor = network(views)
    return scores.float()
