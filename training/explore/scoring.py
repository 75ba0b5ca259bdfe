"""A model's ONNX file, and what it says of many galaxies: scores, and error bars if it has them."""

from dataclasses import dataclass
from pathlib import Path

from galaxytree.card import ModelCard
from training.arrays import Galaxies, Images
from training.evaluate import SHIPPED, ModelFileError, checked_model
from training.predict import Predictions, predict_onnx


@dataclass(frozen=True)
class Model:
    """A model file that goes with the data.

    Attributes
    ----------
    file : Path
        The ONNX file.
    card : ModelCard
    """

    file: Path
    card: ModelCard

    @classmethod
    def fitting(cls, folder: Path, galaxies: Galaxies) -> "Model":
        """Find a folder's model.

        Raises
        ------
        ModelFileError
            As `training.evaluate.checked_model` does.
        """
        card, file = checked_model(folder, galaxies)
        return cls(file, card)

    def predict(self, images: Images) -> Predictions:
        """Score images, at least one, some at a time.

        Raises
        ------
        ModelFileError
            If the file does not run on them, or answers something else than scores of the tree.
        """
        try:
            predictions = predict_onnx(self.file, images)
        except MemoryError:  # says nothing of the file
            raise
        except Exception as error:  # ONNX Runtime's errors have no class in common but this one
            reason = str(error).partition("\n")[0]
            msg = f"{self.file} does not run on these images ({reason}); export it again"
            raise ModelFileError(msg) from error
        self._check_shapes(predictions, len(images))
        return predictions

    def _check_shapes(self, predictions: Predictions, count: int) -> None:
        row = (count, len(self.card.columns))
        wanted = {"scores": row, "uncertainty": row, "uncertainty_95": row, "out_of_domain": (count,)}
        for name, shape in wanted.items():
            found = getattr(predictions, name)
            if found is not None and found.shape != shape:
                msg = f"{self.file} gives {name} of the shape {list(found.shape)}, not {list(shape)}"
                raise ModelFileError(msg)


def find_model(named: Path | None, galaxies: Galaxies) -> tuple[Model | None, str]:
    """Return the model to look at, or none and the reason why not.

    The shipped model need not go with a user's data, nor be there at all; one that was named must.

    Raises
    ------
    ModelFileError
        As `Model.fitting` does, for a model that was named.
    """
    if named is not None:
        return Model.fitting(named, galaxies), ""
    try:
        return Model.fitting(SHIPPED, galaxies), ""
    except ModelFileError as error:
        return None, str(error)
