"""Where a network looked: the further output of a model file, and which part of the network's input its cells cover."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

EVIDENCE = "evidence"
"""Name of the output, float32 [N, columns, h, w], and of the entry of the file's metadata that holds `Seen` as JSON.

For each cell of the picture the log-odds of an answer against the other answers of its question. The mean over the
cells is what the network says of the answer: ln(fraction), less the mean of it over the question's answers.
"""


class Seen(BaseModel):
    """The part of its input that a network sees, which the cells of `EVIDENCE` cover as equal tiles.

    Attributes
    ----------
    left, top, width, height
        In pixels of the input.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    left: Annotated[int, Field(ge=0)]
    top: Annotated[int, Field(ge=0)]
    width: Annotated[int, Field(gt=0)]
    height: Annotated[int, Field(gt=0)]
