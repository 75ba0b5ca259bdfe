"""The tree as a value, and the algebra on its scores: every sum, for any input."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from pydantic import ValidationError

from galaxytree.decision_tree import (
    END,
    DecisionTree,
    InconsistentScoresError,
    UnknownTreeError,
    load_tree,
    tree_names,
)

KAGGLE = [
    "Class1.1", "Class1.2", "Class1.3", "Class2.1", "Class2.2", "Class3.1", "Class3.2", "Class4.1",
    "Class4.2", "Class5.1", "Class5.2", "Class5.3", "Class5.4", "Class6.1", "Class6.2", "Class7.1",
    "Class7.2", "Class7.3", "Class8.1", "Class8.2", "Class8.3", "Class8.4", "Class8.5", "Class8.6",
    "Class8.7", "Class9.1", "Class9.2", "Class9.3", "Class10.1", "Class10.2", "Class10.3", "Class11.1",
    "Class11.2", "Class11.3", "Class11.4", "Class11.5", "Class11.6",
]  # fmt: skip

# What the answers to a question add up to (Kaggle's page of the challenge).
SUMS = {
    "1": None, "2": "Class1.2", "3": "Class2.2", "4": "Class2.2", "5": "Class2.2", "6": None, "7": "Class1.1",
    "8": "Class6.1", "9": "Class2.1", "10": "Class4.1", "11": "Class4.1",
}  # fmt: skip

REAL = Path(__file__).parents[2] / ".." / "shared" / "galaxy-zoo"
needs_real_rows = pytest.mark.skipif(not REAL.is_dir(), reason=f"the real votes are not at {REAL}")

TREE = load_tree("galaxy-zoo-2")
CANDELS = load_tree("candels")
EPSILON = {np.dtype(np.float32): 1e-6, np.dtype(np.float64): 1e-14}

some_examples = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])


def raw_outputs(columns: int = 37) -> st.SearchStrategy[NDArray[Any]]:
    """Any numbers at all: negative, NaN, infinite, huge, denormal; of few kinds, so that whole questions meet."""

    def of(dtype: type[np.float32] | type[np.float64]) -> st.SearchStrategy[NDArray[Any]]:
        width = 8 * np.dtype(dtype).itemsize
        largest = float(np.finfo(dtype).max)
        denormal = float(np.finfo(dtype).smallest_subnormal)
        elements = st.one_of(
            st.sampled_from([0.0, -0.0, -1.0, 1.0, np.nan, np.inf, -np.inf, largest, denormal]),
            st.floats(width=width),
            st.floats(0, 1, width=width),
        )
        shapes = array_shapes(min_dims=0, max_dims=1, max_side=4).map(lambda rows: (*rows, columns))
        return arrays(dtype, shapes, elements=elements)

    return st.one_of(of(np.float32), of(np.float64))


def assert_sums_hold(scores: NDArray[Any], tolerance: float) -> None:
    """Hold scores against the sums as they are written in this file, not in the tree."""
    column = {name: scores[..., position] for position, name in enumerate(KAGGLE)}
    for question, parent in SUMS.items():
        total = sum(value for name, value in column.items() if name.startswith(f"Class{question}."))
        expected = 1.0 if parent is None else column[parent]
        assert np.all(np.abs(total - expected) <= tolerance), question


# The table.


def test_the_columns_are_kaggles_in_kaggles_order() -> None:
    assert list(TREE.columns) == KAGGLE
    assert len(KAGGLE) == 37


def test_eleven_questions_add_up_as_kaggle_says() -> None:
    assert {question.id: question.adds_up_to for question in TREE.questions} == {
        f"Q{number}": parent or 1 for number, parent in SUMS.items()
    }


def test_slices_and_index_cover_every_column_once() -> None:
    covered = [name for own in TREE.slices.values() for name in TREE.columns[own]]
    assert covered == KAGGLE
    assert [TREE.index[name] for name in KAGGLE] == list(range(37))


def test_every_answer_is_reachable_and_every_path_ends() -> None:
    reached: set[str] = set()
    longest = 0

    def walk(question_id: str, before: tuple[str, ...]) -> None:
        nonlocal longest
        assert question_id not in before, "a path comes back to a question"
        for answer in TREE.question(question_id).answers:
            reached.add(answer.id)
            if answer.next != END:
                walk(answer.next, (*before, question_id))
        longest = max(longest, len(before) + 1)

    walk("Q1", ())
    assert reached == set(KAGGLE)
    assert longest == 9


def test_an_unknown_question_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        TREE.question("Q12")


def test_an_unknown_tree_is_refused_with_the_names_of_those_there_are() -> None:
    assert tree_names() == ["candels", "galaxy-zoo-2"]
    with pytest.raises(UnknownTreeError, match="'galaxy-zoo-9'; known are candels, galaxy-zoo-2"):
        load_tree("galaxy-zoo-9")


@pytest.mark.parametrize("name", ["../trees/candels", "", "candels.toml"])
def test_only_names_are_names_of_trees(name: str) -> None:
    with pytest.raises(UnknownTreeError):
        load_tree(name)


def changed(**changes: dict[str, Any]) -> dict[str, Any]:
    """Return a small sound table, with some parts replaced."""
    first = {"id": "A", "text": "?", "topic": "it", "adds_up_to": 1, "answers": [answer("A1", "B"), answer("A2")]}
    second = {"id": "B", "text": "?", "topic": "it", "adds_up_to": "A1", "answers": [answer("B1"), answer("B2")]}
    table = {"name": "small", "title": "", "voters": "people", "sentence": "{A}", "references": []}
    return {**table, "questions": [{**first, **changes.get("first", {})}, {**second, **changes.get("second", {})}]}


def answer(name: str, following: str = "end", phrase: str = "") -> dict[str, str]:
    return {"id": name, "label": name, "next": following, "phrase": phrase}


def test_a_sound_table_is_a_tree() -> None:
    assert DecisionTree.model_validate(changed()).columns == ("A1", "A2", "B1", "B2")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"second": {"id": "A"}}, "share an id"),
        ({"second": {"answers": [answer("A1")]}}, "share an id"),
        ({"second": {"adds_up_to": "Z9"}}, "B adds up to Z9, which is no answer"),
        ({"first": {"answers": [answer("A1", "Z"), answer("A2")]}}, "A1 refers to Z, which is no question"),
        (
            {"first": {"answers": [answer("A1", phrase="a {Z} one"), answer("A2")]}},
            "A1 refers to Z, which is no question",
        ),
        ({"first": {"adds_up_to": "B1"}}, "add up to answers of each other in a circle"),
        ({"second": {"adds_up_to": "B1"}}, "add up to answers of each other in a circle"),
        ({"second": {"answers": [answer("B1", "A"), answer("B2")]}}, "follow each other in a circle"),
        (
            {
                "first": {"answers": [answer("A1", "B", "{B}"), answer("A2")]},
                "second": {"answers": [answer("B1", phrase="{A}"), answer("B2")]},
            },
            "say the phrases of each other in a circle",
        ),
        ({"second": {"answers": [answer("B1")]}}, "B has one answer only"),
        ({"second": {"answers": []}}, "at least 1 item"),
        ({"second": {"colour": "blue"}}, "Extra inputs are not permitted"),
    ],
)
def test_a_table_that_is_no_tree_is_refused(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        DecisionTree.model_validate(changed(**changes))


# The sums.


@some_examples
@given(raw_outputs())
def test_any_raw_outputs_are_normalised_to_scores_that_meet_every_sum(raw: NDArray[Any]) -> None:
    before = raw.copy()
    scores = TREE.normalise(raw)
    assert scores.shape == raw.shape
    assert scores.dtype == raw.dtype
    assert np.isfinite(scores).all()
    assert scores.min(initial=0) >= 0
    assert not np.signbit(scores).any(), "a minus in front of a zero"
    assert_sums_hold(scores.astype(np.float64), EPSILON[raw.dtype])
    TREE.check(scores)
    np.testing.assert_array_equal(raw, before)


@some_examples
@given(raw_outputs())
def test_normalising_twice_changes_nothing(raw: NDArray[Any]) -> None:
    once = TREE.normalise(raw)
    np.testing.assert_allclose(TREE.normalise(once), once, rtol=0, atol=EPSILON[raw.dtype])


@some_examples
@given(raw_outputs(), st.data())
def test_an_average_of_consistent_scores_is_consistent(raw: NDArray[Any], data: st.DataObject) -> None:
    scores = TREE.normalise(np.atleast_2d(raw)).astype(np.float64)
    views = data.draw(arrays(np.float64, len(scores), elements=st.floats(0.01, 1)))
    assert_sums_hold(np.average(scores, axis=0, weights=views), 1e-6)


@some_examples
@given(raw_outputs())
def test_fractions_and_scores_are_each_others_reverse(raw: NDArray[Any]) -> None:
    scores = TREE.normalise(raw)
    fractions = TREE.fractions(scores)
    assert fractions.shape == scores.shape
    assert fractions.dtype == scores.dtype
    assert fractions.min(initial=0) >= 0
    assert fractions.max(initial=0) <= 1
    np.testing.assert_allclose(TREE.scores(fractions), scores, rtol=0, atol=10 * EPSILON[raw.dtype])


@some_examples
@given(raw_outputs())
def test_a_path_follows_the_transitions_to_the_end(raw: NDArray[Any]) -> None:
    scores = np.atleast_2d(TREE.normalise(raw))
    questions = {one.id: question for question in TREE.questions for one in question.answers}
    answers = {one.id: one for question in TREE.questions for one in question.answers}
    for row, path in zip(scores, TREE.paths(scores), strict=True):
        assert questions[path[0]].id == "Q1"
        following = [questions[name].id for name in path[1:]] + [END]
        assert [answers[name].next for name in path] == following
        for name in path:
            assert row[TREE.index[name]] == row[TREE.slices[questions[name].id]].max()


def test_a_question_with_nothing_to_go_by_shares_its_weight_equally() -> None:
    for nothing in (0.0, np.nan, -1.0, -np.inf):
        raw = np.full(37, nothing)
        raw[:2] = 0.5, 0.5
        scores = TREE.normalise(raw)
        assert scores[:3].tolist() == [0.5, 0.5, 0.0]
        np.testing.assert_allclose(scores[TREE.slices["Q2"]], 0.25)
        np.testing.assert_allclose(scores[TREE.slices["Q7"]], 0.5 / 3)
        np.testing.assert_allclose(scores[TREE.slices["Q6"]], 0.5)


def test_all_zeros_give_the_equal_shares_all_the_way_down() -> None:
    fractions = TREE.fractions(TREE.normalise(np.zeros(37)))
    for question in TREE.questions:
        np.testing.assert_allclose(fractions[TREE.slices[question.id]], 1 / len(question.answers))


def test_an_infinite_output_outweighs_every_finite_one_and_several_share() -> None:
    raw = np.ones(37)
    raw[0] = np.inf
    assert TREE.normalise(raw)[:3].tolist() == [1.0, 0.0, 0.0]
    raw[1] = np.inf
    assert TREE.normalise(raw)[:3].tolist() == [0.5, 0.5, 0.0]


def test_negative_and_unknown_outputs_are_no_evidence() -> None:
    raw = np.ones(37)
    raw[:3] = 3.0, -5.0, np.nan
    assert TREE.normalise(raw)[:3].tolist() == [1.0, 0.0, 0.0]


def test_huge_outputs_do_not_overflow_and_tiny_ones_keep_their_proportion() -> None:
    for size in (1e308, 5e-324):
        raw = np.ones(37)
        raw[:3] = size, size, 0.0
        assert TREE.normalise(raw)[:3].tolist() == [0.5, 0.5, 0.0]


def test_proportions_are_kept() -> None:
    raw = np.ones(37)
    raw[:3] = 1.0, 2.0, 1.0
    raw[TREE.slices["Q2"]] = 3.0, 1.0
    scores = TREE.normalise(raw)
    assert scores[:5].tolist() == [0.25, 0.5, 0.25, 0.375, 0.125]


def test_no_rows_are_as_good_as_some() -> None:
    none = np.empty((0, 37), np.float32)
    assert TREE.normalise(none).shape == (0, 37)
    assert TREE.weights(none).shape == (0, 11)
    TREE.check(none)


@pytest.mark.parametrize("shape", [(36,), (2, 38), (1, 1, 37), ()])
def test_an_array_that_does_not_fit_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="galaxy-zoo-2 has 37 scores"):
        TREE.normalise(np.zeros(shape))


# Checks, weights, paths.


def galaxy(*answers: str) -> NDArray[np.float64]:
    """Return the scores of a galaxy on which everybody gave these answers; other questions are shared equally."""
    raw = np.zeros(37)
    for name in answers:
        raw[TREE.index[name]] = 1.0
    return TREE.normalise(raw)


@pytest.mark.parametrize("question", [question.id for question in TREE.questions])
def test_check_names_the_question_that_is_off(question: str) -> None:
    scores = np.stack([TREE.normalise(np.ones(37))] * 3)
    leaf = {"Q1": "Class1.3", "Q2": "Class2.1", "Q4": "Class4.2", "Q6": "Class6.2"}
    column = TREE.index[leaf[question]] if question in leaf else TREE.slices[question].start
    scores[1, column] += 0.01
    if question == "Q2":
        # Class2.1 is what Q9 adds up to: keep that one right.
        scores[1, TREE.slices["Q9"]] += 0.01 / 3
    expected = f"{question} does not add up to .*: off by 0.01 in row 1"
    with pytest.raises(InconsistentScoresError, match=expected):
        TREE.check(scores)
    TREE.check(scores, tolerance=0.02)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_check_refuses_what_is_no_number(value: float) -> None:
    scores = galaxy()
    scores[20] = value
    with pytest.raises(InconsistentScoresError, match="not a finite number"):
        TREE.check(scores)


def test_check_refuses_scores_beyond_0_and_1_even_if_they_add_up() -> None:
    scores = galaxy("Class1.1", "Class6.2")
    scores[TREE.slices["Q6"]] = -0.5, 1.5
    scores[TREE.slices["Q8"]] = -0.5 / 7
    with pytest.raises(InconsistentScoresError, match=r"between -0\.5 and 1\.5"):
        TREE.check(scores)


def test_violations_say_by_how_much() -> None:
    scores = galaxy("Class1.1", "Class7.1", "Class6.2")
    scores[TREE.index["Class7.1"]] -= 0.25
    violations = dict(zip([each.id for each in TREE.questions], TREE.violations(scores), strict=True))
    assert violations.pop("Q7") == -0.25
    assert not any(violations.values())


def test_weights_are_the_scores_that_the_questions_hang_on() -> None:
    scores = TREE.normalise(np.random.default_rng(3).random((5, 37)))
    weights = TREE.weights(scores)
    assert weights.shape == (5, 11)
    for position, parent in enumerate(SUMS.values()):
        expected = np.ones(5) if parent is None else scores[:, KAGGLE.index(parent)]
        np.testing.assert_array_equal(weights[:, position], expected)


def test_a_question_nobody_was_asked_has_fractions_of_0() -> None:
    fractions = TREE.fractions(galaxy("Class1.1", "Class7.1", "Class6.2"))
    for question in ("Q2", "Q3", "Q4", "Q5", "Q8", "Q9", "Q10", "Q11"):
        assert not fractions[TREE.slices[question]].any()


def test_scores_keep_what_is_not_known_unknown_below_it() -> None:
    fractions = TREE.fractions(TREE.normalise(np.ones(37)))
    fractions[TREE.slices["Q2"]] = np.nan
    known = ~np.isnan(TREE.scores(fractions))
    asked = {name for question in ("Q1", "Q6", "Q7", "Q8") for name in TREE.columns[TREE.slices[question]]}
    assert {name for name in KAGGLE if known[TREE.index[name]]} == asked


@pytest.mark.parametrize(
    "path",
    [
        ["Class1.2", "Class2.2", "Class3.2", "Class4.1", "Class10.1", "Class11.2", "Class5.3", "Class6.2"],
        ["Class1.2", "Class2.2", "Class3.1", "Class4.2", "Class5.1", "Class6.1", "Class8.1"],
        ["Class1.2", "Class2.1", "Class9.2", "Class6.1", "Class8.7"],
        ["Class1.1", "Class7.3", "Class6.2"],
        ["Class1.1", "Class7.1", "Class6.1", "Class8.6"],
        ["Class1.3"],
    ],
)
def test_paths_of_galaxies_on_which_all_agree(path: list[str]) -> None:
    assert TREE.path(galaxy(*path)) == path


def test_of_equal_scores_the_first_answer_is_on_the_path() -> None:
    assert TREE.path(TREE.normalise(np.ones(37))) == ["Class1.1", "Class7.1", "Class6.1", "Class8.1"]


# Independent fractions.


def test_candels_has_five_fractions_of_their_own() -> None:
    assert CANDELS.columns == ("spheroid", "disk", "irregular", "point_source", "unclassifiable")
    assert all(question.independent for question in CANDELS.questions)


@some_examples
@given(raw_outputs(5))
def test_independent_fractions_are_brought_to_0_to_1_and_otherwise_left_alone(raw: NDArray[Any]) -> None:
    scores = CANDELS.normalise(raw)
    assert scores.dtype == raw.dtype
    np.testing.assert_array_equal(scores, np.nan_to_num(raw, nan=0, posinf=1, neginf=0).clip(0, 1))
    np.testing.assert_array_equal(CANDELS.normalise(scores), scores)
    np.testing.assert_array_equal(CANDELS.fractions(scores), scores)
    np.testing.assert_array_equal(CANDELS.scores(scores), scores)
    assert not CANDELS.violations(scores).any()
    assert (CANDELS.weights(scores) == 1).all()
    CANDELS.check(scores)


def test_independent_fractions_of_at_least_a_half_are_on_the_path() -> None:
    assert CANDELS.path(np.array([0.5, 0.49, 0.9, 0.0, 0.0])) == ["spheroid", "irregular"]
    assert CANDELS.path(np.zeros(5)) == []


# The real votes.


def rows_of(name: str) -> tuple[list[str], NDArray[np.float64]]:
    with (REAL / name).open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    return header[1:], np.array([row[1:] for row in rows], np.float64)


@needs_real_rows
def test_real_votes_meet_every_sum() -> None:
    header, votes = rows_of("training_solutions_rev1.csv")
    assert header == KAGGLE
    assert len(votes) == 7871
    assert_sums_hold(votes, 1e-5)
    TREE.check(votes, tolerance=1e-5)
    np.testing.assert_allclose(TREE.normalise(votes), votes, rtol=0, atol=1e-5)
    np.testing.assert_allclose(TREE.scores(TREE.fractions(votes)), votes, rtol=0, atol=1e-5)


@needs_real_rows
def test_real_votes_on_five_questions_only_meet_their_sums() -> None:
    header, votes = rows_of("partial_solutions_18.csv")
    known = [TREE.columns.index(name) for name in header]
    scores = np.full((len(votes), 37), np.nan)
    scores[:, known] = votes
    excess = TREE.violations(scores)
    by_question = dict(zip([each.id for each in TREE.questions], excess.T, strict=True))
    for question in ("Q1", "Q2", "Q6", "Q7", "Q8"):
        assert np.abs(by_question[question]).max() <= 1e-5, question
    assert np.isnan(by_question["Q3"]).all()


@needs_real_rows
def test_paths_of_real_galaxies_all_come_to_an_end() -> None:
    _, votes = rows_of("training_solutions_rev1.csv")
    ends = {path[-1].partition(".")[0] for path in TREE.paths(votes[:1000])}
    assert ends <= {"Class1", "Class6", "Class8"}
