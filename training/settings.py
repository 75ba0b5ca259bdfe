"""Settings of a training run: everything that decides the result."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from galaxytree.options import Options

DATA_FILE = Path("data/galaxies.h5")


class TrainSettings(Options):
    """What a training run is given; written into its folder, and held against on resuming."""

    env_prefix: ClassVar[str] = "GALAXYTREE_TRAIN_"

    data: Annotated[Path, Field(description="Array file made by `prepare`")] = DATA_FILE
    run: Annotated[Path, Field(description="Folder of the run: checkpoint, metrics, TensorBoard logs")] = Path(
        "runs/first"
    )
    network: Annotated[
        Literal["efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2", "large-kernel"],
        Field(description="Network to train"),
    ] = "efficientnet-lite0"
    output: Annotated[
        Literal["softmax-tree", "softmax-temperature", "sigmoid", "sigmoid-projected", "rectified-divided"],
        Field(description="How scores are made from what the network ends in"),
    ] = "softmax-tree"
    initial: Annotated[
        Path | None, Field(description="Folder of a finished run of the same network whose weights to start from")
    ] = None
    imagenet: Annotated[bool, Field(description="Start from ImageNet weights")] = True
    crop: Annotated[int, Field(gt=0, description="Side of the part of the image that is looked at, in its pixels")] = (
        112
    )
    resolution: Annotated[int, Field(ge=32, description="Side of what the network sees, in pixels")] = 112
    epochs: Annotated[int, Field(gt=0, description="Passes over the training galaxies")] = 40
    views_seen: Annotated[
        int, Field(ge=0, description="Views of galaxies to train on in all; 0 leaves it to --epochs")
    ] = 0
    bounds: Annotated[
        float,
        Field(ge=0, description="Weight of votes of which only bounds are known; with 0 such galaxies are left out"),
    ] = 0.0
    targets: Annotated[
        Path | None, Field(description="File made by `teach`: scores to learn where the votes are not known")
    ] = None
    targets_weight: Annotated[float, Field(gt=0, description="Weight of a teacher's score, where a vote has 1")] = 1.0
    population: Annotated[
        Path | None,
        Field(description="Table of the population's mean votes; galaxies with all votes are weighted to have them"),
    ] = None
    folds: Annotated[int, Field(ge=0, description="Parts of the galaxies with all votes for cross-validation")] = 0
    fold: Annotated[int, Field(ge=0, description="Part that is held out and measured on, from 0")] = 0
    batch_size: Annotated[int, Field(gt=0, description="Galaxies a step, over all processes")] = 128
    learning_rate: Annotated[float, Field(gt=0, description="Largest step size of AdamW")] = 2.5e-3
    weight_decay: Annotated[float, Field(ge=0, description="Decay of AdamW, on weights of two or more axes")] = 0.02
    warmup: Annotated[float, Field(ge=0, lt=1, description="Part of the steps in which the step size rises")] = 0.1
    ema_decay: Annotated[float, Field(ge=0, lt=1, description="Decay a step of the averaged weights")] = 0.998
    dropout: Annotated[float, Field(ge=0, lt=1, description="Part of the features left out at random")] = 0.2
    rotation: Annotated[float, Field(ge=0, le=180, description="Largest random rotation in degrees")] = 180.0
    mirror: Annotated[float, Field(ge=0, le=1, description="Probability of a mirror image")] = 0.5
    zoom: Annotated[float, Field(ge=1, description="Largest random magnification, and its inverse")] = 1.1
    shift: Annotated[float, Field(ge=0, description="Largest random shift in pixels of the image")] = 4.0
    brightness: Annotated[float, Field(ge=1, description="Largest random factor of brightness, and its inverse")] = 1.15
    precision: Annotated[Literal["bf16", "float32"], Field(description="Arithmetic of the forward pass")] = "bf16"
    device: Annotated[Literal["auto", "cpu", "cuda"], Field(description="Where to train")] = "auto"
    threads: Annotated[int, Field(ge=0, description="CPU threads; 0 leaves it to PyTorch")] = 0
    seed: Annotated[int, Field(ge=0, lt=2**31, description="Seed of all that is random")] = 1
    checkpoint_steps: Annotated[int, Field(gt=0, description="Steps between checkpoints")] = 40
    validate_epochs: Annotated[int, Field(gt=0, description="Epochs between measurements on validation")] = 1

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.folds and self.fold >= self.folds:
            msg = f"there is no fold {self.fold} of {self.folds}; the first is 0"
            raise ValueError(msg)
        if self.network == "large-kernel" and self.imagenet and self.initial is None:
            msg = "there are no ImageNet weights for large-kernel; add --no-imagenet"
            raise ValueError(msg)
        if 0 < self.views_seen < self.batch_size:
            msg = f"{self.views_seen} views do not fill a batch of {self.batch_size}"
            raise ValueError(msg)
        return self

    def steps(self, galaxies: int) -> int:
        """Return how many steps a run on so many galaxies takes."""
        return self.views_seen // self.batch_size or self.epochs * (galaxies // self.batch_size)
