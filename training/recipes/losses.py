"""Losses that sentence-transformers does not ship, as functions of vectors and scores.

What it ships is used as it is: `MSELoss`, `MultipleNegativesRankingLoss` (InfoNCE),
`CosineSimilarityLoss`. Here are the ranking losses of RankCSE (Liu et al. 2023, "RankCSE:
Unsupervised Sentence Representations Learning via Learning to Rank", ACL) and pairwise losses for
graded relevance. Nothing here knows a model or a text.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import kl_div, log_softmax, normalize, relu

__all__ = [
    "graded_margin",
    "listmle",
    "listnet",
    "margin_mse",
    "ranking_consistency",
    "similarities",
    "told_apart",
]


def similarities(left: Tensor, right: Tensor) -> Tensor:
    """Cosine of every row of `left` (n, dim) with every row of `right` (m, dim): (n, m)."""
    cosines: Tensor = normalize(left, dim=1) @ normalize(right, dim=1).T
    return cosines


def ranking_consistency(first: Tensor, second: Tensor, temperature: float = 0.05) -> Tensor:
    """Jensen-Shannon divergence, in nats, between the rankings two dropout masks give one batch.

    `first` and `second` (n, dim) are the same n sentences under two masks. Row i of P is the top-one
    probability of each sentence for query i of the first pass among the second pass's vectors, row i
    of Q the other way round (RankCSE, section 4.1):

        P = softmax(cos(first, second) / t)    Q = softmax(cos(second, first) / t)
        loss = mean over i of [KL(P_i || M_i) + KL(Q_i || M_i)] / 2,   M = (P + Q) / 2
    """
    cosines = similarities(first, second) / temperature  # (n, n)
    log_p, log_q = log_softmax(cosines, dim=1), log_softmax(cosines.T, dim=1)
    log_m = torch.logaddexp(log_p, log_q) - torch.log(log_p.new_tensor(2.0))
    toward_p = kl_div(log_m, log_p, reduction="batchmean", log_target=True)
    toward_q = kl_div(log_m, log_q, reduction="batchmean", log_target=True)
    return (toward_p + toward_q) / 2


def listnet(
    student: Tensor, teacher: Tensor, temperature: float = 0.05, teacher_temperature: float = 0.025
) -> Tensor:
    """Cross entropy between the teacher's and the student's top-one probabilities (Cao et al. 2007).

    `student` and `teacher` (n, m) are the scores of m candidates for each of n queries; RankCSE
    section 4.2 takes the teacher's distribution as the sharper one.

        loss = - mean over i of sum over j of softmax(teacher_i / t')_j log softmax(student_i / t)_j
    """
    _same_lists(student, teacher)
    wanted = torch.softmax(teacher / teacher_temperature, dim=1)
    return -(wanted * log_softmax(student / temperature, dim=1)).sum(dim=1).mean()


def listmle(student: Tensor, teacher: Tensor, temperature: float = 0.05) -> Tensor:
    """Negative log likelihood, under the student, of the teacher's whole ranking (Xia et al. 2008).

    `student` and `teacher` (n, m) are scores; with s in the teacher's order, best first:

        loss = mean over i of sum over k of [log sum over l >= k of exp(s_l / t) - s_k / t]

    Divided by m, so that the length of the list does not set the weight beside another loss.
    """
    _same_lists(student, teacher)
    order = torch.argsort(teacher, dim=1, descending=True, stable=True)  # best first
    ranked = torch.gather(student, 1, order) / temperature
    remaining = torch.logcumsumexp(ranked.flip(1), dim=1).flip(
        1
    )  # log of what is left at each place
    return (remaining - ranked).mean()


def told_apart(
    left: Tensor, right: Tensor, same: Tensor, temperature: float = 0.05, near: float = 1.0
) -> Tensor:
    """InfoNCE both ways, in nats: row i of `left` (n, dim) belongs to row i of `right` (n, dim).

    `same` (n,) numbers what the rows of `right` are of: rows of one number are no negatives of each
    other, nor are rows of `right` whose cosine is above `near`. With c the cosines over the temperature:

        loss = - mean over i of [log softmax_k(c_ik)_i + log softmax_k(c_ki)_i] / 2
    """
    scores = similarities(left, right) / temperature  # (n, n)
    own = torch.eye(len(same), dtype=torch.bool, device=same.device)
    alike = same[:, None] == same[None, :]
    if near < 1:
        alike = alike | (similarities(right, right) > near)
    scores = scores.masked_fill(alike & ~own, float("-inf"))
    ways = [log_softmax(way, dim=1).diagonal().mean() for way in (scores, scores.T)]
    return -(ways[0] + ways[1]) / 2


def graded_margin(scores: Tensor, grades: Tensor, queries: Tensor, margin: float = 0.3) -> Tensor:
    """Hinge on pairs of one query's documents: the better must lead by its lead in grade.

    `scores`, `grades` and `queries` (n,): the cosine of document i with its query, its grade in
    [0, 1] and its query's number. Over pairs of one query with grade_i > grade_j:

        loss = mean of max(0, margin * (grade_i - grade_j) - (score_i - score_j))

    Zero, with a gradient of zero, when the batch holds no such pair.
    """
    leads, wanted = _pairs(scores, grades, queries)
    return relu(margin * wanted - leads).sum() / max(1, len(leads))


def margin_mse(scores: Tensor, grades: Tensor, queries: Tensor, margin: float = 0.3) -> Tensor:
    """Squared error on the same pairs: the better leads by exactly `margin` times its lead in grade.

    The margin loss of Hofstätter et al. 2020 with people's grades in the teacher's place:

        loss = mean of (margin * (grade_i - grade_j) - (score_i - score_j))^2
    """
    leads, wanted = _pairs(scores, grades, queries)
    return (margin * wanted - leads).square().sum() / max(1, len(leads))


def _pairs(scores: Tensor, grades: Tensor, queries: Tensor) -> tuple[Tensor, Tensor]:
    """Lead in score and lead in grade of every pair of one query with different grades: (p,), (p,)."""
    ahead = grades[:, None] - grades[None, :]  # (n, n)
    chosen = (queries[:, None] == queries[None, :]) & (ahead > 0)
    return (scores[:, None] - scores[None, :])[chosen], ahead[chosen]


def _same_lists(student: Tensor, teacher: Tensor) -> None:
    if student.shape != teacher.shape or student.ndim != 2:
        raise ValueError(
            f"scores of one shape (queries, candidates) are needed, not {tuple(student.shape)} "
            f"and {tuple(teacher.shape)}"
        )
