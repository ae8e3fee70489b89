"""Losses against values worked out by hand, and their gradients against differences."""

from __future__ import annotations

from collections.abc import Callable
from math import exp, log

import pytest
import torch
from torch import Tensor

from training.recipes.losses import (
    graded_margin,
    listmle,
    listnet,
    margin_mse,
    ranking_consistency,
    similarities,
    told_apart,
)


def test_similarities_are_cosines_of_all_pairs() -> None:
    left = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    right = torch.tensor([[5.0, 0.0], [3.0, 4.0]])
    assert torch.allclose(similarities(left, right), torch.tensor([[1.0, 0.6], [0.0, 0.8]]))


def test_listnet_is_the_cross_entropy_of_top_one_probabilities() -> None:
    # the teacher gives 2/3 and 1/3, the student 1/4 and 3/4
    loss = listnet(torch.tensor([[0.0, log(3)]]), torch.tensor([[log(2), 0.0]]), 1.0, 1.0)
    assert loss.item() == pytest.approx(2 / 3 * log(4) + 1 / 3 * log(4 / 3))


def test_listnet_is_least_where_the_student_agrees() -> None:
    teacher = torch.tensor([[0.9, 0.1, 0.5]])
    agrees = listnet(teacher, teacher, 0.05, 0.05)
    for other in ([[0.1, 0.9, 0.5]], [[0.9, 0.5, 0.1]]):
        assert listnet(torch.tensor(other), teacher, 0.05, 0.05) > agrees


def test_listmle_is_the_likelihood_of_the_teachers_order() -> None:
    # weights 1, 2, 3 drawn in the order 2, 1, 3: 2/6 * 1/4 * 3/3 = 1/12
    student = torch.tensor([[log(1), log(2), log(3)]])
    loss = listmle(student, torch.tensor([[0.5, 0.9, 0.1]]), temperature=1.0)
    assert loss.item() == pytest.approx(log(12) / 3)


def test_listmle_looks_at_the_teachers_order_and_not_at_its_scores() -> None:
    student = torch.tensor([[0.3, 0.2, 0.9]])
    near = listmle(student, torch.tensor([[0.53, 0.52, 0.51]]))
    assert near == listmle(student, torch.tensor([[0.9, 0.5, 0.1]]))


def test_told_apart_is_the_mean_cross_entropy_of_both_ways() -> None:
    left = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    right = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    # cosines [[1, 0.6], [0, 0.8]] over 0.2: [[5, 3], [0, 4]]
    rows = (log(1 + exp(-2)) + log(1 + exp(-4))) / 2
    columns = (log(1 + exp(-5)) + log(1 + exp(-1))) / 2
    loss = told_apart(left, right, torch.tensor([0, 1]), 0.2)
    assert loss.item() == pytest.approx((rows + columns) / 2)


def test_what_has_one_teacher_is_not_told_apart() -> None:
    left = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert told_apart(left, left.flip(0), torch.tensor([7, 7])).item() == pytest.approx(0.0)


def test_near_neighbours_of_the_target_are_no_negatives() -> None:
    left = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    right = torch.tensor([[1.0, 0.0], [0.6, 0.8]])  # cosine 0.6
    rows = torch.tensor([0, 1])
    assert told_apart(left, right, rows, 0.2, near=0.59).item() == pytest.approx(0.0)
    assert told_apart(left, right, rows, 0.2, near=0.61).item() == pytest.approx(
        told_apart(left, right, rows, 0.2).item()
    )


def test_ranking_consistency_is_the_mean_jensen_shannon_divergence() -> None:
    # cosines [[1, .6], [0, .8]]; the temperature makes exp(x / t) a power of two, 32 for x = 1
    first = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    second = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    rows = [((4 / 5, 1 / 5), (32 / 33, 1 / 33)), ((1 / 17, 16 / 17), (1 / 3, 2 / 3))]

    def kl(p: tuple[float, float], m: tuple[float, float]) -> float:
        return sum(a * log(a / b) for a, b in zip(p, m, strict=True))

    wanted = 0.0
    for p, q in rows:
        m = ((p[0] + q[0]) / 2, (p[1] + q[1]) / 2)
        wanted += (kl(p, m) + kl(q, m)) / 2 / len(rows)
    loss = ranking_consistency(first, second, temperature=0.2 / log(2))
    assert loss.item() == pytest.approx(wanted, rel=1e-5)


def test_ranking_consistency_is_zero_for_one_ranking() -> None:
    vectors = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
    assert ranking_consistency(vectors, vectors).item() == pytest.approx(0.0, abs=1e-6)


SCORES = torch.tensor([0.5, 0.6, 0.1, 0.9])
GRADES = torch.tensor([1.0, 0.5, 0.0, 0.0])
QUERIES = torch.tensor([0, 0, 0, 1])


def test_graded_margin_asks_a_lead_that_grows_with_the_grades() -> None:
    # leads -.1, .4, .5 where .15, .3, .15 are wanted; the other query's document is in no pair
    assert graded_margin(SCORES, GRADES, QUERIES, 0.3).item() == pytest.approx(0.25 / 3)


def test_margin_mse_asks_exactly_that_lead() -> None:
    wanted = (0.25**2 + 0.1**2 + 0.35**2) / 3
    assert margin_mse(SCORES, GRADES, QUERIES, 0.3).item() == pytest.approx(wanted)


@pytest.mark.parametrize("loss", [graded_margin, margin_mse])
def test_a_batch_without_different_grades_teaches_nothing(loss: Callable[..., Tensor]) -> None:
    scores = torch.tensor([0.1, 0.2], requires_grad=True)
    found = loss(scores, torch.tensor([1.0, 1.0]), torch.tensor([0, 0]))
    torch.autograd.backward(found)
    assert found.item() == 0.0
    assert scores.grad is not None and not scores.grad.any()


@pytest.mark.parametrize("loss", [listnet, listmle])
def test_lists_of_other_lengths_are_refused(loss: Callable[..., Tensor]) -> None:
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(2, 4\)"):
        loss(torch.zeros(2, 3), torch.zeros(2, 4))


@pytest.mark.parametrize(
    "loss",
    [
        lambda x: listnet(x, teacher(), 0.5, 0.5),
        lambda x: listmle(x, teacher(), 0.5),
        lambda x: ranking_consistency(x, teacher(), 0.5),
        lambda x: graded_margin(x[:, 0], GRADES[:3].double(), QUERIES[:3]),
        lambda x: margin_mse(x[:, 0], GRADES[:3].double(), QUERIES[:3]),
    ],
    ids=["listnet", "listmle", "ranking_consistency", "graded_margin", "margin_mse"],
)
def test_gradients_are_those_of_the_loss(loss: Callable[[Tensor], Tensor]) -> None:
    torch.manual_seed(3)
    scores = torch.randn(3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(loss, (scores,))


def teacher() -> Tensor:
    return torch.tensor([[0.3, 0.9, 0.5], [0.2, 0.1, 0.7], [0.8, 0.4, 0.6]], dtype=torch.float64)
