"""Multilingual distillation: a student learns a teacher's space through translations.

Reimers and Gurevych 2020, "Making Monolingual Sentence Embeddings Multilingual using Knowledge
Distillation" (EMNLP). With pairs (s_j, t_j) of a sentence and its translation, teacher T, student S:

    loss = mean over j of [ (S(s_j) - T(s_j))^2 + (S(t_j) - T(s_j))^2 ] / 2

where a square is the mean over the dimensions, as `MSELoss` of sentence-transformers has it. The
teacher's vectors are of unit length unless `unit_teacher` is off, computed once, and cached by the
sentence's content.

With a `contrastive_weight` w the student also learns to tell its own sentence's teacher from the
others of the batch (InfoNCE, van den Oord et al. 2018; c is the cosine, t the temperature), and the
square is the sum over the dimensions:

    loss = mean over j of [ |S(t_j) - T(s_j)|^2 - w log softmax_k(c(S(t_j), T(s_k)) / t)_j ]
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from configs.errors import ConfigError
from configs.training import DistillSettings, StudentSettings
from indexer.schema import Matrix
from indexer.vectors import along, principal_axes
from training.data.batches import Rows, plan, steps_of
from training.data.corpora import Pairs, read_pairs
from training.data.joined_passages import with_passages
from training.models.opening import width_of
from training.models.sentence_vectors import full_precision, sentence_vectors, token_counts
from training.models.students import open_student
from training.models.teachers import teach
from training.recipes.held_out import Translated, open_held_out, texts_of
from training.recipes.losses import told_apart
from training.recipes.outputs import Result, facts_of, save_result
from training.run.device import pick_device, suit_attention
from training.run.loop import Task, train
from training.run.progress import QUIET, Talk

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.losses import MSELoss

__all__ = ["distill"]


def distill(settings: DistillSettings, output: Path, talk: Talk = QUIET) -> Result:
    """Train the student of `settings` into OUT/model; goes on from OUT/checkpoints.

    Raises ConfigError, before any training, when the widths differ and no projection is named.
    """
    device = pick_device(settings.run.device)
    model = open_student(settings.student, str(device), settings.run.seed)
    if device.type == "cpu" and settings.run.precision == "bfloat16":
        suit_attention(model)
    pairs = read_pairs(settings.corpora, seed=settings.run.seed, talk=talk.say)
    train_pairs, aside = _aside(pairs, settings)
    train_pairs = with_passages(
        train_pairs, settings.passages, settings.passage_share, settings.run.seed
    )
    held_out = open_held_out(settings.held_out, settings.corpora, aside)

    def taught(texts: list[str]) -> Matrix:
        return teach(
            [text.lower() for text in texts] if settings.lowercase else texts,
            settings.teacher,
            settings.cache or output / "teacher",
            device,
            talk,
            settings.teacher_precision,
            settings.unit_teacher,
        )

    # one sentence may be the source of pairs in many languages; its vector is held once
    once = {text: row for row, text in enumerate(dict.fromkeys(train_pairs.sources))}
    row_of = np.array([once[text] for text in train_pairs.sources], np.int64)  # (pairs,)
    lesson = _lesson(model, taught(list(once)), settings)
    by_error = settings.held_out.best == "mse"
    if isinstance(held_out, Translated) and (settings.sides == "target" or by_error):
        held_out = held_out.against(
            lambda texts: lesson.wanted(taught(texts)),
            reads_sources=settings.sides == "both",
            led=lesson.led if lesson.loss.projection is not None else None,
            by_error=by_error,
        )
    talk.say(f"{len(train_pairs)} pairs in {len(train_pairs.languages)} languages to train on")
    count = len(train_pairs)

    def loss(rows: Rows) -> torch.Tensor:
        pairs = rows % count
        sides = [
            [train_pairs.targets[i] if i < count else train_pairs.sources[i - count] for i in rows]
        ]
        if settings.sides == "both":
            sides.append([train_pairs.sources[i] for i in pairs])
        teachers = row_of[pairs]
        wanted = torch.from_numpy(lesson.targets[teachers]).to(device)
        vectors = [sentence_vectors(model, side) for side in sides]
        with full_precision(device):
            found: torch.Tensor = lesson.loss.compute_loss_from_embeddings(
                vectors, [wanted] * len(sides)
            )
            if settings.contrastive_weight:
                same = torch.from_numpy(teachers).to(device)
                told = [told_apart(side, wanted, same, settings.temperature) for side in vectors]
                found = wanted.shape[1] * found + settings.contrastive_weight * sum(told) / len(
                    told
                )
        return found

    run = settings.run
    steps = steps_of(count, run.batch_size, run.epochs, run.steps)
    order = plan(
        lambda epoch: _examples(train_pairs, settings, epoch),
        steps,
        run.batch_size,
        run.seed,
        _lengths(model, train_pairs, settings, talk) if run.bucket else None,
    )
    data = [*train_pairs.sources, *train_pairs.targets, *texts_of(held_out)]
    evaluate = None if held_out is None else lambda: held_out.evaluate(model)
    task = Task(lesson.loss, order, loss, evaluate, facts_of(settings, data))
    outcome = train(task, run, output, talk.tell)
    metric = "spearman" if settings.held_out.scored else "translation accuracy"
    if by_error:
        metric = "squared error x -100"
    return save_result(output, "distill", model, settings, outcome, metric, len(train_pairs))


@dataclass(frozen=True, slots=True)
class _Lesson:
    """Where the student is led, and the loss (with its projection) that leads it there."""

    loss: MSELoss
    targets: Matrix  # (n, width), one for each pair
    axes: NDArray[np.float32] | None = None  # (dim, width), where the teacher's space is cut

    def wanted(self, vectors: Matrix) -> Matrix:
        """The teacher's vectors in the space that the student learns."""
        return vectors if self.axes is None else along(vectors, self.axes)

    def led(self, vectors: Matrix) -> Matrix:
        """The student's vectors in the teacher's space, through the layer that only the training has."""
        assert self.loss.projection is not None
        with torch.no_grad():
            rows = torch.from_numpy(vectors).to(next(self.loss.projection.parameters()).device)
            found: Matrix = self.loss.projection(rows).float().cpu().numpy()
        return found


def _lesson(model: SentenceTransformer, targets: Matrix, settings: DistillSettings) -> _Lesson:
    from sentence_transformers.sentence_transformer.losses import MSELoss
    from sentence_transformers.sentence_transformer.modules import Dense

    own, wanted = width_of(model), targets.shape[1]
    if own == wanted:
        return _Lesson(MSELoss(model), targets)
    if settings.projection == "pca" and own < wanted:
        axes = principal_axes(targets, own)
        return _Lesson(MSELoss(model), along(targets, axes), axes)
    if settings.projection == "linear":
        lesson = MSELoss(model, projection_dim=wanted)
        assert lesson.projection is not None
        _start(lesson.projection, targets, settings.run.seed)
        return _Lesson(lesson, targets)
    if settings.projection == "dense":
        layer = Dense(own, wanted, activation_function=torch.nn.Identity()).to(model.device)
        _start(layer.linear, targets, settings.run.seed)
        model.append(layer)
        return _Lesson(MSELoss(model), targets)
    raise ConfigError(
        f"projection {settings.projection}: the teacher {settings.teacher} gives {wanted} dimensions "
        f"and the student {_name(settings.student)} {own}; set projection to pca (only to fewer), "
        "dense or linear"
    )


def _start(layer: torch.nn.Linear, targets: Matrix, seed: int) -> None:
    """Set a layer to the teacher's width to the teacher's principal axes, where they are enough.

    The student then starts out to learn its coordinates along these axes, which keeps cosines, and
    learns much faster than through a random layer.
    """
    with torch.no_grad():
        layer.bias.zero_()
        if layer.in_features < layer.out_features:
            axes = principal_axes(targets, layer.in_features)
            layer.weight.copy_(torch.from_numpy(axes))
        else:
            generator = torch.Generator().manual_seed(seed)
            noise = torch.randn(layer.weight.shape, generator=generator)
            layer.weight.copy_(noise / layer.in_features**0.5)


def _name(student: StudentSettings) -> str:
    return student.model or f"{student.architecture} {student.layers} x {student.width}"


def _aside(pairs: Pairs, settings: DistillSettings) -> tuple[Pairs, Pairs | None]:
    held_out = settings.held_out
    if held_out.pairs or held_out.scored or not held_out.aside:
        return pairs, None
    return pairs.split(held_out.aside, settings.run.seed)


def _examples(pairs: Pairs, settings: DistillSettings, epoch: int) -> Rows:
    """One epoch's examples: a pair's row, or, where its source is to be read, that plus their count."""
    rows = pairs.draw(len(pairs), settings.run.seed, epoch)
    random = np.random.default_rng([settings.run.seed, epoch, 0x50])
    return rows + len(pairs) * (random.random(len(rows)) < settings.source_share)


def _lengths(
    model: SentenceTransformer, pairs: Pairs, settings: DistillSettings, talk: Talk
) -> NDArray[np.int64]:
    """Tokens of each example's text, or of both where both are read.

    Not characters: a batch of many scripts that is sorted by them is more than half padding.
    """
    talk.say("counting tokens, to make batches of like length")
    sources, targets = (token_counts(model, side) for side in (pairs.sources, pairs.targets))
    both = sources + targets
    return both if settings.sides == "both" else np.concatenate([targets, sources])
