"""What travels on the wire, used by the service and by the client."""

from typing import Annotated, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from galaxytree.decision_tree import load_tree
from galaxytree.predictions import FLAGGED_ABOVE, UNCERTAINTY, UNCERTAINTY_95, flagged


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True)


class Problem(_Message):
    """An error, as RFC 9457 has it: ``application/problem+json``."""

    type: Annotated[str, Field(description="A URI that names the kind of problem", examples=["about:blank"])]
    title: Annotated[str, Field(description="The kind of problem in words")]
    status: Annotated[int, Field(description="HTTP status")]
    detail: Annotated[str, Field(description="What is wrong with this request, and what to do")]
    code: Annotated[str, Field(description="Stable word for programs", examples=["undecodable_image"])]


class ModelName(_Message):
    """Which network answered."""

    name: str
    version: str
    tree: Annotated[str, Field(description="Name of the decision tree that the scores belong to")]


class ImageFacts(_Message):
    """What the service saw."""

    sha256: Annotated[str, Field(description="SHA-256 of the bytes, in hexadecimal")]
    format: Annotated[str, Field(examples=["JPEG", "PNG"])]
    width: Annotated[int, Field(description="Pixels, after the rotation that EXIF asks for")]
    height: Annotated[int, Field(description="Pixels, after the rotation that EXIF asks for")]


class AnswerScore(_Message):
    """One answer's part of the votes."""

    id: str
    label: str
    score: Annotated[float, Field(description="Part of all voters, weighted as in the Kaggle challenge")]
    fraction: Annotated[float, Field(description="score / weight: part of those who were asked")]
    uncertainty: Annotated[
        float | None, Field(description=f"Of the score, not of the fraction: {UNCERTAINTY}", ge=0)
    ] = None
    uncertainty_95: Annotated[
        float | None, Field(description=f"Of the score, not of the fraction: {UNCERTAINTY_95}", ge=0)
    ] = None


class QuestionScores(_Message):
    """One question with the votes on its answers."""

    id: str
    text: str
    weight: Annotated[float, Field(description="What the scores of the answers add up to")]
    answers: tuple[AnswerScore, ...]


class Box(_Message):
    """A part of a picture, in pixels from its left and top edges, after the rotation that EXIF asks for."""

    left: float
    top: float
    width: Annotated[float, Field(gt=0)]
    height: Annotated[float, Field(gt=0)]


class Explanation(_Message):
    """Where in the picture the network saw evidence for one answer (Zhou et al. 2016: class activation maps).

    It is what the network makes its scores of: the mean of `grid` is ln(fraction) of the answer, less the mean of that
    over the answers of its question.
    """

    answer: Annotated[str, Field(description="Its id", examples=["Class4.1"])]
    png: Annotated[
        str,
        Field(
            description="A grey PNG of 64 x 64 pixels in base64, which covers `box`: 0 where nothing speaks for the "
            "answer, 255 where most does",
            json_schema_extra={"contentEncoding": "base64", "contentMediaType": "image/png"},
        ),
    ]
    grid: Annotated[
        tuple[tuple[float, ...], ...],
        Field(
            description="The evidence in each of the network's cells, in rows from the top: log-odds of the answer "
            "against the others of its question. The map passes from the middle of a cell to the next one's"
        ),
    ]
    box: Annotated[Box, Field(description="The part of the picture that the network sees")]


class Classification(_Message):
    """The answer for one image.

    `questions`, `path` and `summary` are left out for ``detail=scores``; `uncertainty`, `uncertainty_95` and
    `out_of_domain` where the model doesn't say; `explanation` unless it is asked for.
    """

    model: ModelName
    image: ImageFacts
    views: Annotated[
        int, Field(description="How many orientations of the image the answer is averaged over", examples=[1, 8])
    ] = 1
    scores: Annotated[dict[str, float], Field(description="Weighted scores, in the order of the tree")]
    uncertainty: Annotated[
        dict[str, float] | None,
        Field(description=f"For each score: {UNCERTAINTY}; of models that say so"),
    ] = None
    uncertainty_95: Annotated[
        dict[str, float] | None, Field(description=f"For each score: {UNCERTAINTY_95}; of models that say so")
    ] = None
    out_of_domain: Annotated[
        float | None,
        Field(
            description="How unlike the galaxies that the model was trained on the picture is, from 0 to 1; above "
            f"{FLAGGED_ABOVE} the summary begins with a warning; of models that say so",
            ge=0,
            le=1,
        ),
    ] = None
    questions: Annotated[tuple[QuestionScores, ...] | None, Field(description="The scores by question")] = None
    path: Annotated[tuple[str, ...] | None, Field(description="Likeliest answers, from first question to end")] = None
    summary: Annotated[str | None, Field(description="The answer in a sentence")] = None
    explanation: Annotated[
        Explanation | None, Field(description="Where the network looked, if it was asked for: `explain`")
    ] = None

    @property
    def flagged(self) -> bool:
        """Whether the picture is so unlike what the model knows that the answer is to be taken with care."""
        return flagged(self.out_of_domain)

    def fraction(self, answer: str) -> float:
        """Return which part of those who were asked a question would give an answer: its score / the question's weight.

        Parameters
        ----------
        answer
            Its id, such as ``Class4.1``.

        Raises
        ------
        KeyError
            If the tree has no such answer.
        """
        tree = load_tree(self.model.tree)
        scores = np.array([self.scores[column] for column in tree.columns])
        return float(tree.fractions(scores)[tree.index[answer]])


class Cutout(_Message):
    """Where a survey has the picture of a position."""

    url: Annotated[str, Field(description="Of a JPEG of 424 x 424 pixels, with the position in its middle")]
    survey: Annotated[str, Field(description="Whose picture it is", examples=["sdss"])]
    radius: Annotated[float, Field(description="The galaxy's petroR90_r that it is framed for, arcsec", gt=0)]
    warning: Annotated[
        str | None, Field(description="Why scores and error bars may not hold for this survey's pictures")
    ]


class Health(_Message):
    """Whether the service lives, or is ready for images."""

    status: Annotated[str, Field(examples=["live", "ready"])]


MOST_ID_LETTERS = 256
"""How long the id of a batch's item may be."""


class _Asked(_Message):
    # Whoever misspells a name is to hear of it.
    model_config = ConfigDict(frozen=True, extra="forbid")


class BatchItem(_Asked):
    """One image of a batch; of an NDJSON body, one line."""

    url: Annotated[str, Field(description="Where the image is fetched from", examples=["https://skyserver.sdss.org/…"])]
    id: Annotated[
        str | None, Field(description="What you call it; the result has it again", max_length=MOST_ID_LETTERS)
    ] = None


class BatchRequest(_Asked):
    """A batch as one document: either `items` or, where no ids are needed, `urls`."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["items"]}, {"required": ["urls"]}]})

    # Of very many that are wrong the first is told: to tell of all would take seconds.
    items: Annotated[
        tuple[BatchItem, ...], Field(description="The images", min_length=1, fail_fast=True, default_factory=tuple)
    ]
    urls: Annotated[
        tuple[str, ...],
        Field(description="The images, by their URLs alone", min_length=1, fail_fast=True, default_factory=tuple),
    ]

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if len(self.model_fields_set) != 1:
            msg = "either items or urls is needed, and not both"
            raise ValueError(msg)
        return self


class Picture(_Message):
    """The image that a classification is of, as it was fetched."""

    type: Annotated[Literal["image/jpeg", "image/png"], Field(description="Its media type, told by its content")]
    data: Annotated[str, Field(description="Its bytes, in Base64", json_schema_extra={"contentEncoding": "base64"})]


class BatchResult(_Message):
    """What became of one item of a batch: a classification, or an error."""

    index: Annotated[int, Field(description="Its place in the batch, from 0", ge=0)]
    id: Annotated[str | None, Field(description="The item's id, or of a form the file's name")]
    status: Literal["ok", "error"]
    classification: Annotated[Classification | None, Field(description="If the status is ok")] = None
    picture: Annotated[Picture | None, Field(description="If the status is ok and the query says `picture=true`")] = (
        None
    )
    error: Annotated[Problem | None, Field(description="If the status is error")] = None


class BatchSummary(_Message):
    """How a batch went."""

    ok: Annotated[int, Field(description="Images that were scored", ge=0)]
    failed: Annotated[int, Field(description="Items whose result is an error", ge=0)]


class BatchAnswer(_Message):
    """The answer for a batch, as one document."""

    results: Annotated[tuple[BatchResult, ...], Field(description="One for each item, in the order of the items")]
    summary: BatchSummary
