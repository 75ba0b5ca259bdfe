"""The training loop, flat from top to bottom.

All that is random in a step follows from the seed and the step's number alone, and a checkpoint holds all that carries
over from one step to the next. So a run that was killed at any moment ends, when it is taken up again, where it would
have ended.
"""

import copy
import math
import time
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from training.arrays import Galaxies, read_galaxies
from training.augment import Augmentation
from training.batches import Batches
from training.curriculum import Curriculum, begun, curriculum
from training.losses import squared_error
from training.metrics import rmse
from training.networks.classifier import GalaxyClassifier, View, ViewClassifier
from training.predict import predict
from training.processes import joined
from training.runs import (
    CHECKPOINT_FILE,
    WEIGHTS_FILE,
    RunError,
    git_commit,
    machine,
    read_checkpoint,
    read_record,
    taken_up,
    write_checkpoint,
    write_record,
)
from training.schedule import decayed, schedule
from training.settings import TrainSettings

_STEPS_PER_SEED = 2**32


def train(settings: TrainSettings) -> dict[str, Any]:  # noqa: C901, PLR0912, PLR0915  (flat on purpose: one loop to read)
    """Train a network, or take up the run where it was left.

    Returns
    -------
    dict
        The run's record, as ``run.json`` holds it.

    Raises
    ------
    RunError, ArrayFileError, TargetsError, BalanceError
        If the run can't be started or taken up; the message says why.
    """
    with joined(settings.device) as process:
        # What there is to learn from, and what learns.
        torch.set_num_threads(settings.threads or torch.get_num_threads())
        torch.manual_seed(settings.seed)
        galaxies = read_galaxies(settings.data)
        plan = curriculum(galaxies, settings)
        learning, unseen, lessons = plan.learning, plan.unseen, plan.lessons
        batches = Batches(learning, settings.batch_size, settings.seed, process)
        if not batches.steps or settings.batch_size % process.world:
            msg = f"batches of {settings.batch_size} do not fit {len(learning)} galaxies and {process.world} processes"
            raise RunError(msg)
        if settings.crop > galaxies.framing.size:
            msg = f"a crop of {settings.crop} px does not fit into images of {galaxies.framing.size} px"
            raise RunError(msg)
        if (galaxies.framing.size - settings.crop) % 2:
            # What is served would lie half a pixel beside what is trained on.
            msg = f"a crop of {settings.crop} px has no middle in images of {galaxies.framing.size} px; take 1 px more"
            raise RunError(msg)
        network = ViewClassifier(galaxies.tree, settings.network, settings.output, settings.dropout)
        if settings.initial:
            network.load_state_dict(begun(settings.initial, galaxies, settings))
        elif settings.imagenet:
            network.load_imagenet()
        network = network.to(process.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        average = copy.deepcopy(network).eval().requires_grad_(requires_grad=False)
        optimizer = torch.optim.AdamW(decayed(network, settings.weight_decay), lr=settings.learning_rate)
        parallel = DistributedDataParallel(network) if process.world > 1 else network
        augmentation = Augmentation(
            settings.rotation, settings.mirror, settings.zoom, settings.shift, settings.brightness
        )
        served = GalaxyClassifier(View(settings.crop, settings.resolution), average)

        # Where an earlier start of the run left it.
        settings.run.mkdir(parents=True, exist_ok=True)
        record = _record(settings, galaxies, plan) | {"world": process.world}
        step, squared, seconds = 0, 0.0, 0.0
        total = settings.steps(len(learning))
        if state := read_checkpoint(settings.run / CHECKPOINT_FILE):
            record = taken_up(record, read_record(settings.run)) | {"epochs": state["epochs"]}
            network.load_state_dict(state["network"])
            average.load_state_dict(state["average"])
            optimizer.load_state_dict(state["optimizer"])
            step, squared, seconds = state["step"], state["squared"], state["seconds"]
        if process.leads:
            write_record(settings.run, record)
        # The last epoch may have been kept but not logged when the run was killed: it is logged anew.
        logged = min(len(record["epochs"]) * batches.steps, total)
        logs = SummaryWriter(str(settings.run / "logs"), purge_step=logged) if process.leads else None
        if logs and logged:
            _log(logs, record["epochs"][-1], logged)
        progress = tqdm(total=total, initial=step, unit="step", disable=not process.leads, smoothing=0.05)
        began = time.monotonic() - seconds

        while step < total:
            epoch = step // batches.steps
            for images, chosen in batches.epoch(epoch, first=step % batches.steps):
                # One step: random views, masked loss on consistent scores, AdamW, averaged weights.
                chance = settings.seed * _STEPS_PER_SEED + step * process.world + process.rank
                torch.manual_seed(chance)
                generator = torch.Generator().manual_seed(chance)
                views = augmentation.views(images, settings.crop, settings.resolution, generator)
                for group in optimizer.param_groups:
                    group["lr"] = settings.learning_rate * schedule(step / total, settings.warmup)
                parallel.train()
                with torch.autocast(process.device.type, torch.bfloat16, enabled=settings.precision == "bf16"):
                    scores = parallel(views.contiguous(memory_format=torch.channels_last))
                lesson = lessons.at(chosen, process.device)
                loss = lesson.loss(scores, settings.bounds)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                _follow(average, network, min(settings.ema_decay, (1 + step) / (10 + step)))
                step += 1
                squared += squared_error(scores.detach(), lesson.votes).item()

                # What is to be seen, and what is kept.
                ended = step % batches.steps == 0 or step == total
                seconds = time.monotonic() - began
                progress.update()
                done = (step - 1) % batches.steps + 1
                progress.set_postfix(
                    epoch=epoch + 1,
                    loss=f"{squared / done:.5f}",
                    rmse=f"{math.sqrt(squared / done):.4f}",
                    images_s=f"{step * settings.batch_size / seconds:.0f}",
                    refresh=False,
                )
                due = ended or step % settings.checkpoint_steps == 0
                if due:
                    # All go on from what the leader keeps, as they would if they were taken up from there.
                    squared = process.mean(squared)
                if ended:
                    now = {
                        "epoch": epoch + 1,
                        "learning_rate": optimizer.param_groups[0]["lr"],
                        "training_rmse": math.sqrt(squared / done),
                        "seconds": seconds,
                    }
                    last = step == total
                    if process.leads and len(unseen) and ((epoch + 1) % settings.validate_epochs == 0 or last):
                        now["validation_rmse"] = rmse(predict(served, unseen.images, process.device), unseen.votes)
                        progress.write(f"epoch {epoch + 1}: validation RMSE {now['validation_rmse']:.4f}")
                    record["epochs"].append(now)
                    squared = 0.0
                if process.leads and due:
                    state = {
                        "step": step,
                        "squared": squared,
                        "seconds": seconds,
                        "epochs": record["epochs"],
                        "network": network.state_dict(),
                        "average": average.state_dict(),
                        "optimizer": optimizer.state_dict(),
                    }
                    write_checkpoint(settings.run / CHECKPOINT_FILE, state)
                if logs and ended:
                    _log(logs, record["epochs"][-1], step)
                    write_record(settings.run, record)
                if step == total:
                    break

        progress.close()
        if process.leads:
            write_checkpoint(settings.run / WEIGHTS_FILE, {"average": average.state_dict()})
            record["finished"] = True
            write_record(settings.run, record)
        if logs:
            logs.close()
        return record


@torch.no_grad()
def _follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the averaged weights, and the running statistics with them, towards the network's."""
    for kept, current in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if kept.is_floating_point():
            kept.lerp_(current, 1 - decay)
        else:
            kept.copy_(current)


def _log(logs: SummaryWriter, epoch: dict[str, float], step: int) -> None:
    """Hand the figures of an epoch to TensorBoard, past every buffer that a kill would empty."""
    for name, value in epoch.items():
        logs.add_scalar(name, value, step)
    logs.flush()


def _record(settings: TrainSettings, galaxies: Galaxies, plan: Curriculum) -> dict[str, Any]:
    return {
        "settings": settings.model_dump(mode="json"),
        "commit": git_commit(),
        "machine": machine(),
        "machines": [machine()],
        "tree": galaxies.tree.name,
        "framing": galaxies.framing.model_dump(),
        "data": {"sha256": galaxies.sha256, "training": len(plan.learning), "validation": len(plan.unseen)},
        "origin": plan.origin,
        "made_from": plan.made_from,
        "finished": False,
        "epochs": [],
    }
