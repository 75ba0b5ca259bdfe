"""Errors over the votes that are known, and nothing of those that are not."""

import math

import numpy as np
import pytest
import torch

from galaxytree.decision_tree import load_tree
from tests.training.galaxies import ROUND, THIN, votes_of
from training.losses import squared_error
from training.metrics import agreement, rmse, rmse_by_column, rmse_by_question

TREE = load_tree("galaxy-zoo-2")


def test_the_loss_is_the_mean_over_the_known_votes() -> None:
    scores = torch.tensor([[0.5, 1.0], [0.0, 0.25]])
    votes = torch.tensor([[0.0, math.nan], [0.5, 0.25]])
    assert squared_error(scores, votes).item() == pytest.approx((0.25 + 0.25 + 0) / 3)


def test_unknown_votes_pull_on_nothing() -> None:
    scores = torch.rand(4, 37, requires_grad=True)
    votes = torch.rand(4, 37)
    votes[:, 5:20] = math.nan
    votes[2] = math.nan
    squared_error(scores, votes).backward()  # type: ignore[no-untyped-call]
    assert scores.grad is not None
    assert torch.isfinite(scores.grad).all()
    assert (scores.grad[votes.isnan()] == 0).all()
    assert (scores.grad[~votes.isnan()] != 0).all()


def test_no_known_votes_give_no_loss_and_no_gradient() -> None:
    scores = torch.rand(2, 37, requires_grad=True)
    loss = squared_error(scores, torch.full((2, 37), math.nan))
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0
    assert scores.grad is not None
    assert not scores.grad.any()


def test_the_rmse_is_kaggles_over_the_known_votes() -> None:
    votes = np.array([[0.0, 1.0], [0.5, np.nan]], np.float32)
    scores = np.array([[0.3, 1.0], [0.5, 0.9]], np.float32)
    assert rmse(scores, votes) == pytest.approx(math.sqrt(0.09 / 3))
    assert rmse(votes[:1], votes[:1]) == 0
    assert math.isnan(rmse(scores, np.full((2, 2), np.nan, np.float32)))


def test_parts_of_the_rmse_make_up_the_whole() -> None:
    random = np.random.default_rng(1)
    scores, votes = random.random((2, 50, 37), np.float32)
    by_column, by_question = rmse_by_column(TREE, scores, votes), rmse_by_question(TREE, scores, votes)
    assert list(by_column) == list(TREE.columns)
    assert list(by_question) == [question.id for question in TREE.questions]
    whole = rmse(scores, votes)
    assert np.sqrt(np.mean(np.square(list(by_column.values())))) == pytest.approx(whole)
    parts = [by_question[question.id] ** 2 * len(question.answers) for question in TREE.questions]
    assert math.sqrt(sum(parts) / 37) == pytest.approx(whole)
    assert by_column["Class6.2"] == pytest.approx(rmse(scores[:, [14]], votes[:, [14]]))


def test_the_loss_is_the_square_of_the_rmse() -> None:
    scores, votes = np.random.default_rng(2).random((2, 9, 37), np.float32)
    votes[3, 4:9] = np.nan
    loss = squared_error(torch.from_numpy(scores), torch.from_numpy(votes)).item()
    assert loss == pytest.approx(rmse(scores, votes) ** 2, rel=1e-5)


def test_agreement_counts_those_who_were_asked() -> None:
    votes = np.stack([votes_of(*ROUND), votes_of(*THIN), votes_of(*ROUND), votes_of(*ROUND)])
    scores = np.stack([votes_of(*ROUND), votes_of(*THIN), votes_of(*THIN), votes_of("Class1.1", "Class7.3")])
    votes[3, TREE.slices["Q6"]] = np.nan
    found = agreement(TREE, scores, votes)
    assert found["Q1"] == (0.75, 4)
    assert found["Q2"] == (1.0, 1)
    assert found["Q9"] == (1.0, 1)
    # The third is scored as a thin one: Q7 gets no weight at all, and the first of its answers is none.
    assert found["Q7"] == (pytest.approx(1 / 3), 3)
    assert found["Q6"] == (1.0, 3)
    part, nobody = found["Q11"]
    assert math.isnan(part)
    assert nobody == 0


def test_a_question_that_at_most_half_were_asked_does_not_count() -> None:
    votes = np.stack([TREE.normalise(np.ones(37, np.float32))])
    assert agreement(TREE, votes, votes)["Q7"][1] == 0
    assert agreement(TREE, votes, votes, weight=0.3)["Q7"] == (1.0, 1)
