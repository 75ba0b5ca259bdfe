"""What travels on the wire."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from galaxytree.decision_tree import load_tree
from galaxytree.predictions import Averages
from galaxytree.schemas import Classification, ImageFacts, ModelName
from galaxytree.wording import Wording

TREE = load_tree("galaxy-zoo-2")
MODEL = ModelName(name="made-up", version="2026.11.1", tree=TREE.name)
IMAGE = ImageFacts(sha256="0" * 64, format="JPEG", width=424, height=300)

some_examples = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow])


def as_json(scores: NDArray[Any], *, full: bool = True, views: int = 1, **more: Any) -> dict[str, Any]:  # noqa: ANN401 (outputs of every shape)
    """Return what a client gets, as it fits the schema."""
    beside = {name: np.asarray(value, np.float64)[None] for name, value in more.items()}
    averages = Averages(scores.astype(np.float64)[None], views=(views,), **beside)
    (answer,) = Wording(TREE, MODEL).answers(averages, [IMAGE], [full])
    written: dict[str, Any] = json.loads(json.dumps(answer))
    read = Classification.model_validate(written)
    assert read.model_dump(mode="json", exclude_none=True) == written
    return written


@some_examples
@given(arrays(np.float32, 37, elements=st.floats(0, 1, width=32)))
def test_scores_meet_every_sum_to_1e_6_as_they_are_written(raw: NDArray[np.float32]) -> None:
    answer = as_json(TREE.normalise(raw))
    written = answer["scores"]
    assert list(written) == list(TREE.columns)
    TREE.check(np.array(list(written.values())), tolerance=1e-6)
    for question in answer["questions"]:
        assert abs(sum(each["score"] for each in question["answers"]) - question["weight"]) < 1e-6
        for each in question["answers"]:
            assert each["score"] == written[each["id"]]


def test_float32_scores_that_are_off_by_a_rounding_are_written_exactly() -> None:
    scores = TREE.normalise(np.random.default_rng(1).random((200, 37)).astype(np.float32)) * np.float32(1 + 1e-5)
    for row in scores:
        TREE.check(np.array(list(as_json(row, full=False)["scores"].values())), tolerance=1e-7)


def test_a_whole_answer() -> None:
    raw = np.zeros(37)
    for name, part in {"Class1.1": 0.75, "Class1.2": 0.25, "Class7.2": 1, "Class6.2": 1, "Class2.1": 1}.items():
        raw[TREE.index[name]] = part
    answer = as_json(TREE.normalise(raw))
    assert answer["model"] == {"name": "made-up", "version": "2026.11.1", "tree": "galaxy-zoo-2"}
    assert answer["image"] == {"sha256": "0" * 64, "format": "JPEG", "width": 424, "height": 300}
    assert answer["path"] == ["Class1.1", "Class7.2", "Class6.2"]
    assert answer["summary"] == "A smooth, moderately elongated galaxy; nothing odd."
    questions = {question["id"]: question for question in answer["questions"]}
    assert list(questions) == [f"Q{number}" for number in range(1, 12)]
    edge_on = {"id": "Class2.1", "label": "edge-on", "score": 0.25, "fraction": 1.0}
    assert questions["Q2"]["weight"] == 0.25
    assert questions["Q2"]["text"] == "Could this be a disk viewed edge-on?"
    assert questions["Q2"]["answers"][0] == edge_on


def test_fractions_are_0_where_nobody_was_asked() -> None:
    raw = np.zeros(37)
    raw[0] = 1.0
    questions = {question["id"]: question for question in as_json(TREE.normalise(raw))["questions"]}
    for asked_nobody in ("Q2", "Q3", "Q4", "Q5", "Q9", "Q10", "Q11"):
        assert questions[asked_nobody]["weight"] == 0
        assert all(answer["fraction"] == 0 for answer in questions[asked_nobody]["answers"])


def test_scores_alone_leave_out_the_rest() -> None:
    answer = as_json(TREE.normalise(np.ones(37)), full=False)
    assert set(answer) == {"model", "image", "views", "scores"}


def test_a_batch_is_answered_as_its_images_would_be_by_themselves() -> None:
    random = np.random.default_rng(3)
    scores, errors = TREE.normalise(random.random((5, 37))), random.random((5, 37))
    unlike, full = random.random(5), [True, False, True, False, True]
    averages = Averages(scores, errors, 2 * errors, unlike, views=(1, 8, 1, 1, 8))
    answers = Wording(TREE, MODEL).answers(averages, [IMAGE] * 5, full)
    for row, answer in enumerate(answers):
        alone = as_json(
            scores[row],
            full=full[row],
            views=averages.views[row],
            uncertainty=errors[row],
            uncertainty_95=2 * errors[row],
            out_of_domain=unlike[row],
        )
        assert json.loads(json.dumps(answer)) == alone


@pytest.mark.parametrize("full", [True, False])
def test_what_a_model_says_beside_the_scores(*, full: bool) -> None:
    # No more digits than are worth sending.
    errors = np.linspace(0, 0.36, 37) + 4e-7
    answer = as_json(TREE.normalise(np.ones(37)), full=full, uncertainty=errors, out_of_domain=0.0310004, views=8)
    assert (answer["views"], answer["out_of_domain"]) == (8, 0.031)
    assert list(answer["uncertainty"]) == list(TREE.columns)
    assert list(answer["uncertainty"].values()) == [round(0.01 * number, 6) for number in range(37)]
    for question in answer.get("questions", ()):
        for each in question["answers"]:
            assert each["uncertainty"] == answer["uncertainty"][each["id"]]
    assert "uncertainty_95" not in json.dumps(answer)


@pytest.mark.parametrize("full", [True, False])
def test_both_intervals_of_a_score(*, full: bool) -> None:
    narrow, wide = np.full(37, 0.06), np.linspace(0.15, 0.51, 37) + 4e-7
    answer = as_json(TREE.normalise(np.ones(37)), full=full, uncertainty=narrow, uncertainty_95=wide)
    assert list(answer["uncertainty_95"]) == list(TREE.columns)
    assert list(answer["uncertainty_95"].values()) == [round(0.15 + 0.01 * number, 6) for number in range(37)]
    assert set(answer["uncertainty"].values()) == {0.06}
    for question in answer.get("questions", ()):
        for each in question["answers"]:
            assert (each["uncertainty"], each["uncertainty_95"]) == (0.06, answer["uncertainty_95"][each["id"]])


def test_an_interval_without_the_other() -> None:
    answer = as_json(TREE.normalise(np.ones(37)), uncertainty_95=np.full(37, 0.25))
    assert answer["uncertainty_95"]["Class1.1"] == answer["questions"][0]["answers"][0]["uncertainty_95"] == 0.25
    assert not {"uncertainty", "out_of_domain"} & (set(answer) | set(answer["questions"][0]["answers"][0]))


def test_a_picture_unlike_what_the_model_knows_is_flagged_in_words() -> None:
    scores = TREE.normalise(np.ones(37))
    known, unlike = (as_json(scores, out_of_domain=value)["summary"] for value in (0.5, 0.51))
    assert unlike == f"This does not look like the galaxies the model knows; take the answer with care. {known}"
    assert as_json(scores)["summary"] == known
    answers = (as_json(scores, full=False, **more) for more in ({"out_of_domain": 0.5}, {"out_of_domain": 0.51}, {}))
    assert [Classification.model_validate(answer).flagged for answer in answers] == [False, True, False]


def test_an_answer_of_an_older_service_has_one_view() -> None:
    answer = as_json(TREE.normalise(np.ones(37)))
    del answer["views"]
    assert Classification.model_validate(answer).views == 1


def test_a_message_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        MODEL.name = "another"  # type: ignore[misc]
