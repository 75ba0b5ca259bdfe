"""What is written of one experiment, and of a group of them."""

from typing import Annotated, Any, NamedTuple, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$")]
Seed = Annotated[int, Field(ge=0, lt=2**31)]

# Whoever performs a row says where and how it is computed; what comes from other rows is told by their names.
_FROM_THE_COMMAND = {"run", "data", "threads", "device", "seed"}
_FROM_THE_ROW = {"targets": "teachers", "initial": "initial"}


class ExperimentError(ValueError):
    """An experiment that can't be performed, or a file of experiments that can't be used; the message says why."""


class Run(NamedTuple):
    """One training run of a row.

    Attributes
    ----------
    row, seed
        Which.
    fold
        Part that is held out, if the row is a cross-validation.
    """

    row: str
    seed: int
    fold: int | None = None

    @property
    def label(self) -> str:
        """Its folder, within that of all runs."""
        return f"{self.row}/seed-{self.seed}" + ("" if self.fold is None else f"/fold-{self.fold}")


def _values(given: object) -> object:
    if isinstance(given, dict) and (own := sorted(_FROM_THE_COMMAND & given.keys())):
        msg = f"{', '.join(own)} can't be set here, since the command decides it"
        raise ValueError(msg)
    if isinstance(given, dict) and (own := sorted(_FROM_THE_ROW.keys() & given.keys())):
        # Only so is it held that nothing comes from runs that saw what is to be measured on.
        msg = f"{own[0]} can't be set here; name other rows as the row's own `{_FROM_THE_ROW[own[0]]}`"
        raise ValueError(msg)
    return given


Values = Annotated[dict[str, Any], BeforeValidator(_values)]


class Written(BaseModel):
    """What the file holds, and nothing else."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Group(Written):
    """Rows that are compared with each other.

    Attributes
    ----------
    title, text
        What they are, and the budget that all of them have.
    train
        Values of `TrainSettings` that they share.
    """

    title: str
    text: str
    train: Values = {}


class Row(Written):
    """One experiment.

    Attributes
    ----------
    group
        Where it belongs.
    about
        What is different about it, in words.
    train
        Values of `TrainSettings` that differ from the group's.
    seeds
        It is trained once with each.
    teachers
        Rows whose runs score the galaxies with unknown votes before it is trained, and what they say is learnt.
    teach
        Values of `TeachSettings`.
    initial
        Row whose first run's weights it starts from.
    ensemble
        Rows whose runs' mean is measured; nothing is trained.
    average
        Rows whose runs' weights are averaged into one network; nothing is trained either.
    cross_validate
        Whether it is trained once with each fold held out.
    """

    group: str
    about: str
    train: Values = {}
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = (1,)
    teachers: tuple[str, ...] = ()
    teach: dict[str, Any] = {}
    initial: str | None = None
    ensemble: tuple[str, ...] = ()
    average: tuple[str, ...] = ()
    cross_validate: bool = False

    @property
    def needs(self) -> tuple[str, ...]:
        """Rows that must be performed before this one, each once."""
        first = () if self.initial is None else (self.initial,)
        return tuple(dict.fromkeys((*first, *self.teachers, *self.ensemble, *self.average)))

    @property
    def trains(self) -> bool:
        """Whether networks are trained for it, and not only put together."""
        return not (self.ensemble or self.average)

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        further = sorted(self.model_fields_set - {"group", "about", "ensemble", "average"})
        wrong = {
            f"an ensemble trains nothing, so it has no {', '.join(further)}": self.ensemble and further,
            f"an average trains nothing, so it has no {', '.join(further)}": self.average and further,
            "an ensemble is no average": self.ensemble and self.average,
            "teach without teachers": self.teach and not self.teachers,
            "a seed twice": len(set(self.seeds)) < len(self.seeds),
            "a cross-validation has every fold, so it can't have train.fold": self.cross_validate
            and "fold" in self.train,
            "a cross-validation can't learn or start from runs that have seen what it holds out": self.cross_validate
            and self.needs,
        }
        if found := [complaint for complaint, there in wrong.items() if there]:
            raise ValueError("; ".join(found))
        return self
