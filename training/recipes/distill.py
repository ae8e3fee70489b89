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

A multilingual teacher can read both sides (`teacher_reads: both`). The wanted vector is then the unit mean of T(s_j) and
T(t_j) in the teacher's language-neutral space (`indexer.encoders.neutral_space`), and S is projected into that same space
before it is compared, so that a student may be the teacher itself, trained on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import normalize

from configs.errors import ConfigError
from configs.training import DistillSettings, StudentSettings
from indexer.encoders.neutral_encoder import NeutralEncoder
from indexer.encoders.neutral_space import KINDS, SAVED, NeutralSpace
from indexer.schema import Kind, Matrix
from indexer.vectors import along, principal_axes, unit_rows
from training.data.batches import Rows, plan, steps_of
from training.data.corpora import Pairs, read_pairs
from training.data.joined_passages import with_passages
from training.data.token_lists import unaccented
from training.models.opening import width_of
from training.models.sentence_vectors import full_precision, sentence_vectors, token_counts
from training.models.students import open_student
from training.models.teachers import encoder_vectors, multilingual_teacher, teach
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

SOURCE, UNACCENTED = 1, 2
"""How the text of an example is read, other than as the pair's target (0)."""


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
    source_of = np.array([once[text] for text in train_pairs.sources], np.int64)  # (pairs,)
    neutral = None
    if settings.teacher_reads == "both":
        neutral, targets = _of_both_sides(model, train_pairs, settings, output, device, talk)
        lesson, row_of = _lesson(model, targets, settings), np.arange(len(train_pairs))
    else:
        lesson, row_of = _lesson(model, taught(list(once)), settings), source_of
    by_error = settings.held_out.best == "mse"
    reads_alone = settings.sides == "target" and neutral is None
    if isinstance(held_out, Translated) and (reads_alone or by_error):
        held_out = held_out.against(
            lambda texts: lesson.wanted(taught(texts)),
            reads_sources=settings.sides == "both",
            led=lesson.led if lesson.loss.projection is not None else None,
            by_error=by_error,
        )
    talk.say(f"{len(train_pairs)} pairs in {len(train_pairs.languages)} languages to train on")
    count = len(train_pairs)
    loss = _Loss(model, train_pairs, settings, lesson, row_of, source_of, neutral)
    run = settings.run
    before = (
        {name: value.detach().clone() for name, value in model.named_parameters()}
        if settings.start_weight
        else {}
    )
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
    with torch.no_grad():
        for name, value in before.items():
            model.get_parameter(name).lerp_(value, settings.start_weight)
    metric = "spearman" if settings.held_out.scored else "translation accuracy"
    if by_error:
        metric = "squared error x -100"
    return save_result(output, "distill", model, settings, outcome, metric, len(train_pairs))


@dataclass(frozen=True, slots=True)
class _Loss:
    """The loss of a batch of examples: pairs' rows, with SOURCE or UNACCENTED times their count for how one is read."""

    model: SentenceTransformer
    pairs: Pairs
    settings: DistillSettings
    lesson: _Lesson
    wanted_of: NDArray[np.int64]
    """(pairs,) rows of the lesson's targets."""
    source_of: NDArray[np.int64]
    """(pairs,) the number of each pair's source text: pairs of one number are no negatives of each other."""
    neutral: _Neutral | None
    """With teacher_reads: both, how the student is compared."""

    def __call__(self, rows: Rows) -> torch.Tensor:
        pairs = rows % len(self.pairs)
        sides = [[self._text(example) for example in rows]]
        if self.settings.sides == "both":
            sides.append([self.pairs.sources[i] for i in pairs])
        device = self.model.device
        wanted = torch.from_numpy(self.lesson.targets[self.wanted_of[pairs]]).to(device)
        neutral = self.neutral
        kinds = _kinds(rows, len(sides))
        if neutral is not None:
            sides = [neutral.prompted(side, kind) for side, kind in zip(sides, kinds, strict=True)]
        vectors = [sentence_vectors(self.model, side) for side in sides]
        with full_precision(device):
            if neutral is not None:
                vectors = [
                    neutral.project(side, kind) for side, kind in zip(vectors, kinds, strict=True)
                ]
            found: torch.Tensor = self.lesson.loss.compute_loss_from_embeddings(
                vectors, [wanted] * len(sides)
            )
            weight = self.settings.contrastive_weight
            if weight:
                same = torch.from_numpy(self.source_of[pairs]).to(device)
                told = [
                    told_apart(side, wanted, same, self.settings.temperature, self.settings.near)
                    for side in vectors
                ]
                found = wanted.shape[1] * found + weight * sum(told) / len(told)
        return found

    def _text(self, example: int) -> str:
        way, row = divmod(int(example), len(self.pairs))
        if way == SOURCE:
            return self.pairs.sources[row]
        target = self.pairs.targets[row]
        return unaccented(target) if way == UNACCENTED else target


@dataclass(frozen=True, slots=True)
class _Neutral:
    """The teacher's language-neutral space, for vectors with a gradient, and the student's prompts."""

    space: NeutralSpace | None
    """None: the teacher has none, or holds it in its own weights."""
    prompts: Mapping[Kind, str]

    def prompted(self, texts: list[str], kind: Kind) -> list[str]:
        return [self.prompts[kind] + text for text in texts]

    def project(self, vectors: torch.Tensor, kind: Kind) -> torch.Tensor:
        """As `NeutralSpace.project`, of vectors (n, dim) of any length; unit rows."""
        unit = normalize(vectors, dim=1)
        if self.space is None:
            return unit
        means = unit.new_tensor(self.space.means[KINDS.index(kind)])
        directions = unit.new_tensor(self.space.directions)  # (directions, dim)
        moved = unit - means
        return normalize(moved - (moved @ directions.T) @ directions, dim=1)


def _of_both_sides(
    model: SentenceTransformer,
    pairs: Pairs,
    settings: DistillSettings,
    output: Path,
    device: torch.device,
    talk: Talk,
) -> tuple[_Neutral, Matrix]:
    """(how the student is compared, the unit mean of the teacher's vectors of both sides of each pair, (pairs, dim))."""
    teacher = multilingual_teacher(settings.teacher, str(device))
    texts = list(dict.fromkeys([*pairs.sources, *pairs.targets]))
    vectors = encoder_vectors(
        texts,
        Path(settings.cache or output / "teacher"),
        encoder=settings.teacher,
        model=teacher,
        progress=lambda done, total: talk.say(f"teacher: {done} of {total} texts"),
    )
    row = {text: number for number, text in enumerate(texts)}
    left, right = (
        np.fromiter((row[text] for text in side), np.int64, len(side))
        for side in (pairs.sources, pairs.targets)
    )
    targets = np.empty((len(pairs), vectors.shape[1]), np.float32)
    for start in range(0, len(pairs), 100_000):
        some = slice(start, start + 100_000)
        targets[some] = unit_rows(vectors[left[some]] + vectors[right[some]])
    own = model.prompts or {}
    prompts: dict[Kind, str] = {
        "query": own.get("query") or "",
        "passage": own.get("passage") or own.get("document") or "",
    }
    space = teacher.space if isinstance(teacher, NeutralEncoder) else None
    if space is not None:
        output.mkdir(parents=True, exist_ok=True)
        space.save(output / SAVED)
    return _Neutral(space, prompts), targets


def _kinds(rows: Rows, sides: int) -> list[Kind]:
    """What each side of a batch is read as: drawn by its rows, so that a resumed run draws the same."""
    rng = np.random.default_rng([0x50A7, int(rows.sum())])
    return [KINDS[number] for number in rng.integers(len(KINDS), size=sides)]


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
    """One epoch's examples: a pair's row, plus SOURCE or UNACCENTED times their count where that is to be read."""
    rows = pairs.draw(len(pairs), settings.run.seed, epoch)
    drawn = np.random.default_rng([settings.run.seed, epoch, 0x50]).random(len(rows))
    plain = (drawn >= settings.source_share) & (drawn < settings.source_share + settings.unaccented)
    ways = np.where(plain, UNACCENTED, np.where(drawn < settings.source_share, SOURCE, 0))
    found: Rows = rows + len(pairs) * ways.astype(np.int64)
    return found


def _lengths(
    model: SentenceTransformer, pairs: Pairs, settings: DistillSettings, talk: Talk
) -> NDArray[np.int64]:
    """Tokens of each example's text, or of both where both are read.

    Not characters: a batch of many scripts that is sorted by them is more than half padding.
    """
    talk.say("counting tokens, to make batches of like length")
    sources, targets = (token_counts(model, side) for side in (pairs.sources, pairs.targets))
    both = sources + targets
    return both if settings.sides == "both" else np.concatenate([targets, sources, targets])
