"""One step of a static student: the loss of a batch of pairs, and Adam on the rows it touched.

With S(x) the unit sum of the token rows of x, T the teacher (unit, brought to the student's width),
a pair (s, t), a batch of n pairs and a temperature c, the loss is

    mse * mean(|S(s) - T(s)|^2 + |S(t) - T(s)|^2)            Reimers and Gurevych 2020, equation 1
    + contrastive * (nce(S(t), T(s)) + nce(S(s), T(s)) / 2)  InfoNCE: van den Oord et al. 2018
    + cross * nce(S(t), S(s))

With loss: relational, U the teacher's vector of both sides (their unit sum), and q = softmax(U U' / c) by rows,

    nce(S(t), S(s)) + relation * (ce(q, S(s) S(t)' / c) + ce(q, S(t) S(s)' / c)) / 2

nce(a, b) is the mean cross-entropy of softmax(a b' / c) against the diagonal, of rows and of
columns, and ce(q, z) of softmax(z) against q. Columns whose source text is the row's own (the same sentence in another language) are no
negatives and are left out of nce; nor are, with loss: relational, those whose U has a cosine above `near`.
The relational loss asks for similarities and not for vectors, so the student's space may be turned against
the teacher's and have another width (relational knowledge distillation: Park et al. 2019).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from configs.training_static import StaticSettings
from training.data.token_lists import Ragged

if TYPE_CHECKING:
    import torch

__all__ = ["Lists", "SparseAdam", "Table", "batch_loss", "train_step"]

Lists = tuple[NDArray[np.int32], NDArray[np.int64]]
"""Token lists end to end, and where each begins."""

BETAS = (0.9, 0.999)  # Kingma and Ba 2015
EPSILON = 1e-8


class SparseAdam:
    """Rows of a parameter with Adam's two moments; only rows with a gradient move."""

    def __init__(self, value: torch.Tensor) -> None:
        import torch

        self.value = value  # (rows, dim)
        self.first = torch.zeros_like(value)
        self.second = torch.zeros_like(value)

    def step(
        self,
        rows: torch.Tensor,
        gradient: torch.Tensor,
        rate: float,
        number: int,
        share: torch.Tensor | None = None,
    ) -> None:
        """Move `rows` (unique) by `gradient` (rows, dim); `number` counts steps from 1.

        `share` (rows,): how much of its step each row goes; None: all of it.
        """
        a, b = BETAS
        first = self.first[rows].mul_(a).add_(gradient, alpha=1 - a)
        second = self.second[rows].mul_(b).addcmul_(gradient, gradient, value=1 - b)
        self.first[rows] = first
        self.second[rows] = second
        size = rate * math.sqrt(1 - b**number) / (1 - a**number)
        if share is not None:
            first = first * share[:, None]
        self.value[rows] = self.value[rows].addcdiv_(
            first, second.sqrt_().add_(EPSILON), value=-size
        )


@dataclass(frozen=True, slots=True)
class Table:
    """Token rows and, if wanted, rows of character n-grams that several tokens share.

    A token's vector is its own row plus the sum of its n-grams' rows over the root of their number
    (Bojanowski et al. 2017 add subwords so). At the end each token's vector is written out, and the
    n-grams cost an encoder nothing.
    """

    tokens: SparseAdam
    grams: SparseAdam | None = None
    grams_of: Ragged | None = None
    share: torch.Tensor | None = None
    """(tokens,): how much of its step the row of each token goes; None: all of it."""

    def vectors(self) -> NDArray[np.float32]:
        """(tokens, dim): what an encoder sums."""
        import torch

        table = self.tokens.value
        if self.grams is None or self.grams_of is None:
            return np.asarray(table.cpu().numpy().copy(), dtype=np.float32)
        parts = []
        with torch.no_grad():
            for start in range(0, len(table), 20_000):
                rows = np.arange(start, min(len(table), start + 20_000))
                shared = _shared(self.grams.value, self.grams_of, rows)
                parts.append((table[start : start + len(rows)] + shared).cpu().numpy())
        return np.concatenate(parts).astype(np.float32)


def _shared(grams: torch.Tensor, grams_of: Ragged, tokens: NDArray[np.integer]) -> torch.Tensor:
    """What n-grams add to each of `tokens`: (tokens, dim)."""
    import torch
    import torch.nn.functional as F

    ids, first = grams_of.gather(tokens)
    counts = grams_of.starts[tokens + 1] - grams_of.starts[tokens]
    roots = torch.from_numpy(np.sqrt(np.maximum(1, counts)).astype(np.float32))
    device = grams.device
    sums = F.embedding_bag(
        torch.from_numpy(ids).long().to(device),
        grams,
        torch.from_numpy(first).to(device),
        mode="sum",
    )
    return sums / roots.to(device)[:, None]


def train_step(
    table: Table,
    sources: Lists,
    targets: Lists,
    source_rows: NDArray[np.integer],
    teacher: torch.Tensor,
    settings: StaticSettings,
    rate: float,
    number: int,
) -> float:
    """One step on the token lists of n pairs; the loss before it.

    `source_rows` (n,): the number of each pair's source text. `teacher`: (n, dim) unit rows.
    """
    import torch
    import torch.nn.functional as F

    (ids_s, first_s), (ids_t, first_t) = sources, targets
    device = table.tokens.value.device
    ids = torch.from_numpy(np.concatenate([ids_s, ids_t])).to(device).long()
    first = torch.from_numpy(np.concatenate([first_s, first_t + len(ids_s)])).to(device)
    used, place = torch.unique(ids, return_inverse=True)  # the rows of this batch, each once
    own = table.tokens.value[used].requires_grad_(True)
    vectors = own
    shared = None
    if table.grams is not None and table.grams_of is not None:
        tokens = used.cpu().numpy()
        gram_ids, gram_first = table.grams_of.gather(tokens)
        gram_used, gram_place = torch.unique(
            torch.from_numpy(gram_ids).to(device).long(), return_inverse=True
        )
        shared = table.grams.value[gram_used].requires_grad_(True)
        counts = table.grams_of.starts[tokens + 1] - table.grams_of.starts[tokens]
        roots = torch.from_numpy(np.sqrt(np.maximum(1, counts)).astype(np.float32))
        sums = F.embedding_bag(
            gram_place, shared, torch.from_numpy(gram_first).to(device), mode="sum"
        )
        vectors = own + sums / roots.to(device)[:, None]
    sums = F.normalize(F.embedding_bag(place, vectors, first, mode="sum"), dim=1)  # (2 n, dim)
    size = len(source_rows)
    numbers = torch.from_numpy(np.asarray(source_rows)).to(device)
    same = numbers[:, None] == numbers[None, :]
    loss = batch_loss(sums[:size], sums[size:], teacher.to(device), same, settings)
    loss.backward()  # type: ignore[no-untyped-call]
    assert own.grad is not None
    with torch.no_grad():
        share = None if table.share is None else table.share[used]
        table.tokens.step(used, own.grad, rate, number, share)
        if shared is not None and table.grams is not None:
            assert shared.grad is not None
            table.grams.step(gram_used, shared.grad, rate, number)
    return float(loss.detach())


def batch_loss(
    sources: torch.Tensor,
    targets: torch.Tensor,
    teacher: torch.Tensor,
    same: torch.Tensor,
    settings: StaticSettings,
) -> torch.Tensor:
    """The loss above. All (n, dim) unit rows, the teacher's of a width of its own where the loss is relational;
    `same` (n, n): true where two source texts are one.
    """
    import torch
    import torch.nn.functional as F

    from training.recipes.losses import listnet

    c = settings.temperature
    if settings.loss == "relational":
        wanted = teacher @ teacher.T  # (n, n)
        same = same | (wanted > settings.near)
    others = same & ~torch.eye(len(same), dtype=torch.bool, device=same.device)
    right = torch.arange(len(same), device=same.device)

    def nce(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        logits = (a @ b.T / c).masked_fill(others, -1e4)  # (n, n)
        return (F.cross_entropy(logits, right) + F.cross_entropy(logits.T, right)) / 2

    if settings.loss == "relational":
        loss = nce(targets, sources)
        if settings.relation_weight:
            cosines = sources @ targets.T
            ways = listnet(cosines, wanted, c, c) + listnet(cosines.T, wanted, c, c)
            loss = loss + settings.relation_weight * ways / 2
        return loss
    loss = settings.mse_weight * (
        (sources - teacher).square().sum(1).mean() + (targets - teacher).square().sum(1).mean()
    )
    if settings.contrastive_weight:
        loss = loss + settings.contrastive_weight * (
            nce(targets, teacher) + nce(sources, teacher) / 2
        )
    if settings.cross_weight:
        loss = loss + settings.cross_weight * nce(targets, sources)
    return loss
