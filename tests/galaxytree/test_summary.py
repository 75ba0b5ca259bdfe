"""The sentence: what an astronomer would say, and how sure."""

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from galaxytree.decision_tree import load_tree
from galaxytree.summary import PROBABLE_MARGIN, SPLIT_MARGIN, WARNING, Certainty, certainty, summarise

TREE = load_tree("galaxy-zoo-2")
CANDELS = load_tree("candels")

some_examples = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])


def galaxy(*answers: str, **fractions: float) -> NDArray[np.float64]:
    """Return the scores of a galaxy on which all gave these answers, but for some vote fractions (``Class1_1=0.6``)."""
    raw = np.zeros(37)
    for name in answers:
        raw[TREE.index[name]] = 1.0
    for name, fraction in fractions.items():
        raw[TREE.index[name.replace("_", ".")]] = fraction
    return TREE.normalise(raw)


SPIRAL = ("Class1.2", "Class2.2", "Class3.2", "Class4.1", "Class10.1", "Class11.2", "Class5.3", "Class6.2")
SMOOTH = ("Class1.1", "Class7.1", "Class6.2")


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        # The path and the sentence of the contract (API.md).
        (SPIRAL, "A face-on spiral galaxy without a bar; two tightly wound arms, an obvious bulge, nothing odd."),
        (("Class1.3",), "Not a galaxy but a star or an artifact."),
        (SMOOTH, "A smooth, completely round galaxy; nothing odd."),
        (("Class1.1", "Class7.3", "Class6.1", "Class8.6"), "A smooth, cigar-shaped galaxy; signs of a merger."),
        (
            ("Class1.2", "Class2.1", "Class9.2", "Class6.1", "Class8.7"),
            "An edge-on disk galaxy with a boxy bulge; a dust lane.",
        ),
        (("Class1.2", "Class2.1", "Class9.3", "Class6.2"), "An edge-on disk galaxy without a bulge; nothing odd."),
        (
            ("Class1.2", "Class2.2", "Class3.1", "Class4.2", "Class5.1", "Class6.1", "Class8.1"),
            "A face-on disk galaxy with a bar; no spiral arms, no bulge, a ring.",
        ),
        (
            ("Class1.2", "Class2.2", "Class3.1", "Class4.1", "Class10.3", "Class11.1", "Class5.4", "Class6.2"),
            "A face-on spiral galaxy with a bar; one loosely wound arm, a dominant bulge, nothing odd.",
        ),
        (
            ("Class1.2", "Class2.2", "Class3.1", "Class4.1", "Class10.2", "Class11.6", "Class5.2", "Class6.2"),
            (
                "A face-on spiral galaxy with a bar; moderately wound arms that are hard to count, "
                "a just noticeable bulge, nothing odd."
            ),
        ),
    ],
)
def test_galaxies_on_which_all_agree(answers: tuple[str, ...], sentence: str) -> None:
    assert summarise(TREE, galaxy(*answers)) == sentence


@pytest.mark.parametrize(
    ("answers", "fractions", "sentence"),
    [
        (
            SMOOTH,
            {"Class1_1": 0.65, "Class1_2": 0.35},
            "Probably a smooth, completely round galaxy; nothing odd.",
        ),
        (
            SMOOTH,
            {"Class1_1": 0.55, "Class1_2": 0.45},
            (
                "Perhaps a smooth, completely round galaxy; nothing odd. "
                "The volunteers would be split on whether it is smooth or has features."
            ),
        ),
        (
            SMOOTH,
            {"Class7_1": 0.66, "Class7_2": 0.34},
            "A smooth, probably completely round galaxy; nothing odd.",
        ),
        # What one hedge covers is not hedged again, but another question is, and each split is named.
        (
            SMOOTH,
            {"Class1_1": 0.55, "Class1_2": 0.45, "Class7_1": 0.5, "Class7_2": 0.45, "Class6_2": 0.6, "Class6_1": 0.4},
            (
                "Perhaps a smooth, completely round galaxy; probably nothing odd. "
                "The volunteers would be split on whether it is smooth or has features and how round it is."
            ),
        ),
        (
            ("Class1.1", "Class7.2", "Class6.1", "Class8.6"),
            {"Class6_1": 0.54, "Class6_2": 0.46},
            (
                "A smooth, moderately elongated galaxy; perhaps signs of a merger. "
                "The volunteers would be split on whether anything is odd."
            ),
        ),
        # Whether it is seen edge-on is said by the words that follow.
        (
            SPIRAL,
            {"Class2_2": 0.65, "Class2_1": 0.35},
            "Probably a face-on spiral galaxy without a bar; two tightly wound arms, an obvious bulge, nothing odd.",
        ),
        (
            SPIRAL,
            {"Class2_2": 0.55, "Class2_1": 0.45, "Class4_1": 0.55, "Class4_2": 0.45, "Class3_2": 0.5, "Class3_1": 0.5},
            (
                "Perhaps a face-on spiral galaxy with a bar; two tightly wound arms, an obvious bulge, nothing odd. "
                "The volunteers would be split on whether it is seen edge-on, the spiral arms and the bar."
            ),
        ),
    ],
)
def test_split_votes_are_hedged_and_named(answers: tuple[str, ...], fractions: dict[str, float], sentence: str) -> None:
    assert summarise(TREE, galaxy(*answers, **fractions)) == sentence


def test_a_star_that_some_took_for_a_galaxy() -> None:
    scores = galaxy("Class1.3", Class1_3=0.6, Class1_1=0.4)
    assert summarise(TREE, scores) == "Probably not a galaxy but a star or an artifact."


@pytest.mark.parametrize(
    ("margin", "expected"),
    [
        (0.0, Certainty.SPLIT),
        (np.nextafter(SPLIT_MARGIN, 0), Certainty.SPLIT),
        (SPLIT_MARGIN, Certainty.PROBABLE),
        (np.nextafter(PROBABLE_MARGIN, 0), Certainty.PROBABLE),
        (PROBABLE_MARGIN, Certainty.CLEAR),
        (1.0, Certainty.CLEAR),
    ],
)
def test_two_margins_divide_clear_from_probable_from_split(margin: float, expected: Certainty) -> None:
    assert certainty(margin) is expected


def test_70_of_100_voters_are_clear_and_57_of_100_are_split() -> None:
    assert summarise(TREE, galaxy(*SMOOTH, Class1_1=0.71, Class1_2=0.29)).startswith("A smooth")
    assert summarise(TREE, galaxy(*SMOOTH, Class1_1=0.69, Class1_2=0.31)).startswith("Probably a smooth")
    assert summarise(TREE, galaxy(*SMOOTH, Class1_1=0.58, Class1_2=0.42)).startswith("Probably a smooth")
    assert summarise(TREE, galaxy(*SMOOTH, Class1_1=0.57, Class1_2=0.43)).startswith("Perhaps a smooth")


@pytest.mark.parametrize(
    ("fractions", "sentence"),
    [
        ([0.9, 0.1, 0.2, 0.0, 0.0], "The image shows a spheroid."),
        ([0.9, 0.8, 0.0, 0.0, 0.0], "The image shows a spheroid and a disk."),
        ([0.5, 0.65, 0.9, 0.0, 0.0], "The image shows perhaps a spheroid, probably a disk and an irregular shape."),
        ([0.0, 0.0, 0.0, 0.0, 1.0], "The image shows something that cannot be classified."),
        ([0.1, 0.2, 0.3, 0.1, 0.1], "The image shows nothing that most would agree on."),
    ],
)
def test_candels_components(fractions: list[float], sentence: str) -> None:
    assert summarise(CANDELS, np.array(fractions)) == sentence


@some_examples
@given(
    st.sampled_from([TREE, CANDELS]).flatmap(
        lambda tree: st.tuples(
            st.just(tree),
            st.sampled_from([np.float32, np.float64]).flatmap(
                lambda dtype: arrays(dtype, len(tree.columns), elements=st.floats(0, 1, width=32))
            ),
        )
    )
)
def test_any_scores_give_a_whole_sentence(case: tuple[Any, NDArray[Any]]) -> None:
    tree, raw = case
    text = summarise(tree, tree.normalise(raw))
    assert text[0].isupper()
    assert text.endswith(".")
    assert not set(text) & set("{}")
    assert "  " not in text
    assert "perhaps perhaps" not in text.lower()
    assert "probably probably" not in text.lower()
    assert " ," not in text
    assert " ." not in text
    assert text.count("split on") <= 1


def test_a_split_over_stars_is_a_split_over_being_a_galaxy() -> None:
    sentence = summarise(TREE, galaxy("Class1.3", Class1_1=0.42, Class1_2=0.1, Class1_3=0.48))
    assert sentence == (
        "Perhaps not a galaxy but a star or an artifact. The volunteers would be split on whether it is a galaxy."
    )


def test_a_warning_comes_first_and_changes_nothing_else() -> None:
    scores = galaxy("Class1.3")
    plain = summarise(TREE, scores)
    assert summarise(TREE, scores, 0.5) == plain
    assert summarise(TREE, scores, 0.500001) == f"{WARNING} {plain}"


def test_no_phrase_is_hedged_twice() -> None:
    spread = dict.fromkeys(("Class11_1", "Class11_2", "Class11_3", "Class11_4"), 0.15)
    arms = galaxy(*SPIRAL, Class10_1=0.4, Class10_2=0.35, Class10_3=0.25, Class11_5=0.0, Class11_6=0.4, **spread)
    assert "; perhaps tightly wound arms that are hard to count, " in summarise(TREE, arms)


@given(arrays(np.float64, len(TREE.columns), elements=st.floats(0, 1)))
def test_hedges_never_follow_each_other(raw: NDArray[np.float64]) -> None:
    sentence = summarise(TREE, TREE.normalise(raw)).lower()
    for one in ("perhaps", "probably"):
        for other in ("perhaps", "probably"):
            assert f"{one} {other}" not in sentence
