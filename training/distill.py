"""Multilingual distillation: a student learns a teacher's space through translations.

Reimers and Gurevych 2020, "Making Monolingual Sentence Embeddings Multilingual using Knowledge
Distillation" (EMNLP). With pairs (s_j, t_j) of a sentence and its translation, teacher T, student S:

    loss = mean over j of [ (S(s_j) - T(s_j))^2 + (S(t_j) - T(s_j))^2 ] / 2

where a square is the mean over the dimensions, as `MSELoss` of sentence-transformers has it. The
teacher's vectors are of unit length, computed once, and cached by the sentence's content.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from configs.errors import ConfigError
from configs.training import DistillSettings, StudentSettings
from indexer.schema import Matrix
from indexer.vectors import unit_rows
from training.batches import Rows, plan, steps_of
from training.corpora import Pairs, read_pairs
from training.device import pick_device
from training.embed import sentence_vectors
from training.heldout import open_held_out, texts_of
from training.loop import Task, train
from training.outputs import Result, facts_of, save_result
from training.students import open_student, width_of
from training.talk import QUIET, Talk
from training.teaching import teach

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.losses import MSELoss

__all__ = ["distill", "principal_axes"]


def distill(settings: DistillSettings, output: Path, talk: Talk = QUIET) -> Result:
    """Train the student of `settings` into OUTPUT/model; goes on from OUTPUT/checkpoints.

    Raises ConfigError, before any training, when the widths differ and no projection is named.
    """
    device = pick_device(settings.run.device)
    model = open_student(settings.student, str(device), settings.run.seed)
    pairs = read_pairs(settings.corpora, seed=settings.run.seed, talk=talk.say)
    train_pairs, aside = _aside(pairs, settings)
    held_out = open_held_out(settings.held_out, settings.corpora, aside)
    targets = teach(
        train_pairs.sources, settings.teacher, settings.cache or output / "teacher", device, talk
    )
    targets, lesson = _fit(model, targets, settings)  # (n, width) float32
    talk.say(f"{len(train_pairs)} pairs in {len(train_pairs.languages)} languages to train on")

    def loss(rows: Rows) -> torch.Tensor:
        sides = [[train_pairs.targets[i] for i in rows]]
        if settings.sides == "both":
            sides.append([train_pairs.sources[i] for i in rows])
        wanted = torch.from_numpy(targets[rows]).to(device)
        vectors = [sentence_vectors(model, side) for side in sides]
        found: torch.Tensor = lesson.compute_loss_from_embeddings(vectors, [wanted] * len(sides))
        return found

    run = settings.run
    steps = steps_of(len(train_pairs), run.batch_size, run.epochs, run.steps)
    order = plan(
        lambda epoch: train_pairs.draw(len(train_pairs), run.seed, epoch),
        steps,
        run.batch_size,
        run.seed,
        _lengths(train_pairs) if run.bucket else None,
    )
    data = [*train_pairs.sources, *train_pairs.targets, *texts_of(held_out)]
    evaluate = None if held_out is None else lambda: held_out.evaluate(model)
    task = Task(lesson, order, loss, evaluate, facts_of(settings, data))
    outcome = train(task, run, output, talk.tell)
    metric = "spearman" if settings.held_out.scored else "translation accuracy"
    return save_result(output, "distill", model, settings, outcome, metric, len(train_pairs))


def principal_axes(vectors: Matrix, width: int, sample: int = 100_000) -> NDArray[np.float32]:
    """The `width` axes, (dim, width), that keep most of the vectors' length; not centred.

    Not centred, because cosines are taken of the vectors as they are: of all projections to this
    width, this one changes their dot products least (Eckart and Young 1936).
    """
    rows = vectors[:: max(1, len(vectors) // sample)].astype(np.float64)
    _, axes = np.linalg.eigh(rows.T @ rows)  # eigenvalues rise
    best = axes[:, ::-1][:, :width]
    # a sign is free; the largest entry is made positive, so that it is the same everywhere
    signs = np.sign(best[np.abs(best).argmax(axis=0), np.arange(best.shape[1])])
    return np.ascontiguousarray(best * signs, dtype=np.float32)


def _fit(
    model: SentenceTransformer, targets: Matrix, settings: DistillSettings
) -> tuple[Matrix, MSELoss]:
    """Targets the student can reach, and the loss (with its projection) that leads it there."""
    from sentence_transformers.sentence_transformer.losses import MSELoss
    from sentence_transformers.sentence_transformer.modules import Dense

    own, wanted = width_of(model), targets.shape[1]
    if own == wanted:
        return targets, MSELoss(model)
    if settings.projection == "pca" and own < wanted:
        return unit_rows(targets @ principal_axes(targets, own)), MSELoss(model)
    torch.manual_seed(settings.run.seed)
    if settings.projection == "linear":
        return targets, MSELoss(model, projection_dim=wanted)
    if settings.projection == "dense":
        layer = Dense(own, wanted, activation_function=torch.nn.Identity())
        model.append(layer.to(model.device))
        return targets, MSELoss(model)
    raise ConfigError(
        f"projection {settings.projection}: the teacher {settings.teacher} gives {wanted} dimensions "
        f"and the student {_name(settings.student)} {own}; set projection to pca (only to fewer), "
        "linear or dense"
    )


def _name(student: StudentSettings) -> str:
    return student.model or f"{student.architecture} {student.layers} x {student.width}"


def _aside(pairs: Pairs, settings: DistillSettings) -> tuple[Pairs, Pairs | None]:
    held_out = settings.held_out
    if held_out.pairs or held_out.scored or not held_out.aside:
        return pairs, None
    return pairs.split(held_out.aside, settings.run.seed)


def _lengths(pairs: Pairs) -> NDArray[np.int64]:
    return np.array([len(s) + len(t) for s, t in zip(pairs.sources, pairs.targets, strict=True)])
