"""Recipes that learn from sentences or pairs without scores: what is alike comes near, the rest of the batch goes away.

- SimCSE (Gao et al. 2021, EMNLP): a sentence under two dropout masks is a pair,

      loss = - mean over i of log [ exp(cos(h_i, h'_i) / t) / sum over j of exp(cos(h_i, h'_j) / t) ]

- RankCSE (Liu et al. 2023, ACL): that, and the ranking of the batch is the same under both masks
  (`ranking_consistency`) and the same as a teacher's (`listnet` or `listmle`).
- InfoCSE (Wu et al. 2022): that of SimCSE, and masked tokens are restored from the sentence vector
  (`training.recipes.infocse`).
- TSDAE (Wang, Reimers and Gurevych 2021): no contrast; the sentence is restored from the vector of some of its words
  (`training.recipes.tsdae`).
- InfoNCE (van den Oord et al. 2018) and multiple negatives ranking (Henderson et al. 2017): the same
  formula with pairs (s_i, t_i) of two texts. They are one loss by two names: `mnr` has the latter's
  fixed temperature (cosine times 20). With a teacher T the source side is T(s_i), which stays as it
  is, and the student learns the target side alone (BanglaEmbed, Kabir et al. 2024). Pairs that repeat
  a text of their batch are left out of it.

h (n, dim) are the student's vectors of the n sentences of a batch; t is the temperature.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import torch
from torch import Tensor, nn

from configs.errors import ConfigError
from configs.training import ContrastiveSettings, TextSettings
from indexer.schema import Matrix
from indexer.vectors import along, principal_axes
from training.data.batches import Rows, plan, shuffled, steps_of
from training.data.corpora import Pairs, read_pairs
from training.data.plain_texts import read_texts
from training.models.opening import width_of
from training.models.sentence_vectors import features_of, full_precision, sentence_vectors
from training.models.students import open_student
from training.models.teachers import teach
from training.recipes.held_out import Translated, open_held_out, texts_of
from training.recipes.infocse import Restorer
from training.recipes.losses import listmle, listnet, ranking_consistency, similarities
from training.recipes.outputs import Result, facts_of, save_result
from training.recipes.tsdae import Denoiser
from training.run.device import pick_device
from training.run.loop import Task, train
from training.run.progress import QUIET, Talk

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = ["Objective", "contrastive", "softmax_loss"]

Objective = Literal["simcse", "infocse", "rankcse", "tsdae", "infonce", "mnr"]
PLAIN: tuple[Objective, ...] = (
    "simcse",
    "infocse",
    "rankcse",
    "tsdae",
)  # read sentences, not pairs
Loss = Callable[[Rows], Tensor]


def contrastive(
    objective: Objective, settings: ContrastiveSettings, output: Path, talk: Talk = QUIET
) -> Result:
    """Train the student of `settings` by `objective` into OUT/model.

    Raises ConfigError for a batch of one (it has no negatives) and for rankcse without a teacher.
    """
    run = settings.run
    if run.batch_size < 2:
        raise ConfigError(
            "run.batch_size 1: the negatives are the batch's other texts; give 2 or more"
        )
    if objective == "rankcse" and not settings.teacher:
        raise ConfigError("rankcse copies a teacher's ranking: name one in teacher")
    if settings.read_at_once and (objective in PLAIN or settings.teacher):
        raise ConfigError(
            f"read_at_once {settings.read_at_once}: the student must read both sides of pairs; leave it out of "
            f"{objective}" + (f" with the teacher {settings.teacher}" if settings.teacher else "")
        )
    device = pick_device(run.device)
    model = open_student(settings.student, str(device), run.seed)
    too_wide = [width for width in settings.matryoshka if width >= width_of(model)]
    if too_wide:
        raise ConfigError(
            f"matryoshka {too_wide[0]}: the student has {width_of(model)} dimensions; name fewer"
        )
    pairs, aside = _pairs(objective, settings, talk)
    held_out = open_held_out(settings.held_out, settings.corpora, aside)
    trained: nn.Module = model
    if objective in PLAIN:
        texts = _sentences(settings.texts, pairs)
        ranks = None
        if objective == "rankcse":
            ranks = torch.from_numpy(_teachers_vectors(texts, settings, output, device, talk))
        parts = _Parts(model, objective, settings).to(device)
        trained, data = parts, texts
        loss, draw = _two_masks(parts, texts, ranks, settings), shuffled(len(texts), run.seed)
    else:
        assert pairs is not None
        mined = pairs
        data, texts = [*mined.sources, *mined.targets], mined.sources
        fixed = None
        if settings.teacher:
            of_teacher = _teacher_side(model, mined, settings, output, device, talk)
            fixed = torch.from_numpy(of_teacher(mined.sources))
            if isinstance(held_out, Translated):
                held_out = held_out.against(of_teacher)
        loss = _two_texts(model, mined, fixed, settings, objective)

        def draw(epoch: int) -> Rows:
            return mined.draw(len(mined), run.seed, epoch)

    if len(texts) < 2:
        raise ConfigError(f"{objective}: {len(texts)} texts to train on; two at least are needed")
    talk.say(f"{len(texts)} {'sentences' if texts is data else 'pairs'} to train on")
    steps = steps_of(len(texts), run.batch_size, run.epochs, run.steps)
    lengths = np.array([len(text) for text in texts]) if run.bucket else None
    order = plan(draw, steps, run.batch_size, run.seed, lengths)
    evaluate = None if held_out is None else lambda: held_out.evaluate(model)
    facts = facts_of(settings, [*data, *texts_of(held_out)]) | {"objective": objective}
    outcome = train(Task(trained, order, loss, evaluate, facts), run, output, talk.tell)
    metric = "spearman" if settings.held_out.scored else "translation accuracy"
    return save_result(output, objective, model, settings, outcome, metric, len(texts))


def _teachers_vectors(
    texts: list[str],
    settings: ContrastiveSettings,
    output: Path,
    device: torch.device,
    talk: Talk,
) -> Matrix:
    """(n, dim) unit rows whose cosines are the teacher's, or a mixture of both teachers'.

    With unit vectors a and b of the teachers and a share w, those of [sqrt(w) a, sqrt(1 - w) b] are
    w cos(a, a') + (1 - w) cos(b, b'), the combination of RankCSE, section 4.2.
    """
    cache = settings.cache or output / "teacher"
    first = teach(texts, settings.teacher, cache, device, talk)
    if not settings.second_teacher:
        return first
    second = teach(texts, settings.second_teacher, cache, device, talk)
    share = settings.teacher_share
    return np.concatenate([share**0.5 * first, (1 - share) ** 0.5 * second], axis=1)


class _Parts(nn.Module):
    """The student, and what only the training needs."""

    def __init__(
        self, student: SentenceTransformer, objective: Objective, settings: ContrastiveSettings
    ) -> None:
        super().__init__()
        self.student = student
        with torch.random.fork_rng():
            torch.manual_seed(settings.run.seed)
            width = width_of(student)
            self.head = (
                nn.Sequential(nn.Linear(width, width), nn.Tanh())
                if settings.training_head
                else nn.Identity()
            )
            name = settings.student.model or settings.student.tokenizer
            self.restorer = Restorer(student, name) if objective == "infocse" else None
            self.denoiser = Denoiser(student, name) if objective == "tsdae" else None


def _two_masks(
    parts: _Parts, texts: list[str], ranks: Tensor | None, settings: ContrastiveSettings
) -> Loss:
    """SimCSE; RankCSE where `ranks`, the teacher's vectors (texts, dim), are given; InfoCSE with a restorer; TSDAE with a
    denoiser."""
    nearest = _at_widths(
        softmax_loss(parts.student, settings.temperature, both_ways=False), settings.matryoshka
    )

    def loss(rows: Rows) -> Tensor:
        batch = [texts[i] for i in rows]
        if parts.denoiser is not None:
            found: Tensor = parts.denoiser(batch, settings.deleted_share, _generator())
            return found
        # one forward pass of 2n texts: each half has masks of its own
        vectors = sentence_vectors(parts.student, batch * 2)
        first, second = parts.head(vectors).chunk(2)
        with full_precision(first.device):
            total = nearest([first, second])
            if parts.restorer is not None:
                restored: Tensor = parts.restorer(
                    batch, vectors[: len(batch)], settings.masked_share, _generator()
                )
                return total + settings.masked_weight * restored
            if ranks is None:
                return total
            taught = ranks[torch.from_numpy(rows)].to(first.device)
            consistent = ranking_consistency(first, second, settings.temperature)
            ranked = _ranking(similarities(first, second), similarities(taught, taught), settings)
            return (
                total + settings.consistency_weight * consistent + settings.ranking_weight * ranked
            )

    return loss


def _generator() -> torch.Generator:
    """For masks. The loop has seeded torch for this step; what is drawn follows from it."""
    return torch.Generator().manual_seed(int(torch.randint(2**62, ()).item()))


def _ranking(student: Tensor, teacher: Tensor, settings: ContrastiveSettings) -> Tensor:
    """How far the student's ranking of the batch's other sentences is from the teacher's.

    (n, n) cosines; the diagonal, a sentence with itself, is left out: it is first for everyone.
    """
    n = len(student)
    others = ~torch.eye(n, dtype=torch.bool, device=student.device)
    lists = student[others].view(n, n - 1), teacher[others].view(n, n - 1)
    if settings.ranking == "listmle":
        return listmle(*lists, settings.ranking_temperature)
    return listnet(*lists, settings.ranking_temperature, settings.ranking_temperature / 2)


def _two_texts(
    model: SentenceTransformer,
    pairs: Pairs,
    fixed: Tensor | None,
    settings: ContrastiveSettings,
    objective: Objective,
) -> Loss:
    """InfoNCE of both sides; `fixed` are a teacher's vectors (pairs, dim) of the sources."""
    temperature = 0.05 if objective == "mnr" else settings.temperature
    nearest = _at_widths(softmax_loss(model, temperature, settings.both_ways), settings.matryoshka)
    cached = _cached_loss(model, temperature, settings) if settings.read_at_once else None

    def loss(rows: Rows) -> Tensor:
        kept = _distinct(rows, pairs)
        if cached is not None:
            sides = ([side[i] for i in kept] for side in (pairs.sources, pairs.targets))
            found: Tensor = cached([features_of(model, side) for side in sides], torch.empty(0))
            return found
        second = sentence_vectors(model, [pairs.targets[i] for i in kept])
        if fixed is None:
            first = sentence_vectors(model, [pairs.sources[i] for i in kept])
        else:
            first = fixed[torch.tensor(kept)].to(second.device)
        with full_precision(second.device):
            return nearest([first, second])

    return loss


def _teacher_side(
    model: SentenceTransformer,
    pairs: Pairs,
    settings: ContrastiveSettings,
    output: Path,
    device: torch.device,
    talk: Talk,
) -> Callable[[list[str]], Matrix]:
    """What gives the teacher's vectors in the student's width. Raises ConfigError where it cannot."""

    def taught(texts: list[str]) -> Matrix:
        return teach(texts, settings.teacher, settings.cache or output / "teacher", device, talk)

    vectors = taught(pairs.sources)
    own, wanted = width_of(model), vectors.shape[1]
    if own == wanted:
        return taught
    if settings.projection == "pca" and own < wanted:
        axes = principal_axes(vectors, own)
        return lambda texts: along(taught(texts), axes)
    raise ConfigError(
        f"projection {settings.projection}: the teacher {settings.teacher} gives {wanted} dimensions "
        f"and the student {own}; set projection to pca (only to fewer), or leave the teacher out"
    )


def softmax_loss(
    model: SentenceTransformer | None, temperature: float, both_ways: bool
) -> Callable[[list[Tensor]], Tensor]:
    """The loss of [first (n, dim), second (n, dim)]: row i of both belong together.

    That of sentence-transformers, which keeps `model` for its own trainer and does not ask it here.
    """
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    kept = cast("SentenceTransformer", model)
    loss = MultipleNegativesRankingLoss(kept, **_ways(temperature, both_ways))

    def of(vectors: list[Tensor]) -> Tensor:
        found: Tensor = loss.compute_loss_from_embeddings(vectors, torch.empty(0))
        return found

    return of


def _cached_loss(
    model: SentenceTransformer, temperature: float, settings: ContrastiveSettings
) -> Callable[[list[dict[str, Tensor]], Tensor], Tensor]:
    """`softmax_loss` of the features of both sides, of which the student reads some at a time (GradCache)."""
    from sentence_transformers.sentence_transformer.losses import (
        CachedMultipleNegativesRankingLoss,
    )

    return CachedMultipleNegativesRankingLoss(
        model,
        mini_batch_size=settings.read_at_once,
        **_ways(temperature, settings.both_ways),
    )


def _ways(temperature: float, both_ways: bool) -> dict[str, Any]:
    if not both_ways:
        return {"scale": 1 / temperature}
    return {
        "scale": 1 / temperature,
        "directions": ("query_to_doc", "doc_to_query"),
        "partition_mode": "per_direction",
    }


def _at_widths(
    loss: Callable[[list[Tensor]], Tensor], widths: tuple[int, ...]
) -> Callable[[list[Tensor]], Tensor]:
    """The mean of the loss of whole vectors and of their first `widths` dimensions."""
    if not widths:
        return loss

    def of(vectors: list[Tensor]) -> Tensor:
        parts = [loss([side[:, :width] for side in vectors]) for width in widths]
        return torch.stack([loss(vectors), *parts]).mean()

    return of


def _distinct(rows: Rows, pairs: Pairs) -> list[int]:
    """The rows whose texts no earlier row of the batch has: a repeated text is no negative of itself."""
    seen: set[str] = set()
    kept = []
    for row in map(int, rows):
        sides = {pairs.sources[row], pairs.targets[row]}
        if seen.isdisjoint(sides):
            kept.append(row)
            seen |= sides
    return kept


def _pairs(
    objective: Objective, settings: ContrastiveSettings, talk: Talk
) -> tuple[Pairs | None, Pairs | None]:
    """(pairs to train on, pairs kept aside); none where the recipe reads plain texts."""
    if not settings.corpora.files and objective in PLAIN and settings.texts:
        return None, None
    pairs = read_pairs(settings.corpora, seed=settings.run.seed, talk=talk.say)
    held_out = settings.held_out
    if held_out.pairs or held_out.scored or not held_out.aside:
        return pairs, None
    return pairs.split(held_out.aside, settings.run.seed)


def _sentences(files: tuple[TextSettings, ...], pairs: Pairs | None) -> list[str]:
    """Every sentence of the texts and of both sides of the pairs, each once."""
    texts = read_texts(files) if files else []
    if pairs is not None:
        texts += [*pairs.sources, *pairs.targets]
    return list(dict.fromkeys(texts))
