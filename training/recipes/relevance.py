"""Fine-tuning on graded relevance: queries, documents, and what people thought of them.

DaReCzech (Kocián et al. 2022, "Siamese BERT-based Model for Web Search Relevance Ranking Evaluated
on a New Czech Dataset", AAAI) and its use in Bednář et al. 2023. One student encodes both sides; with
s = cos(S(query), S(document)) and the grade g in [0, 1]:

    cosine       mean of (s - g)^2                                 (`CosineSimilarityLoss`)
    margin       mean of max(0, m (g_i - g_j) - (s_i - s_j))       over documents i, j of one query
    margin_mse   mean of (m (g_i - g_j) - (s_i - s_j))^2           with g_i > g_j

The score on held-out queries is the paper's precision at 10: of a query's judged documents the ten
with the highest cosine, and the share of them graded above 0.5; a query with fewer has them all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from configs.errors import ConfigError, DocumentError
from configs.training import RelevanceSettings
from indexer.text.compression import open_text
from indexer.vectors import unit_rows
from training.data.batches import Rows, plan, shuffled, steps_of
from training.models.sentence_vectors import full_precision, held_out_vectors, sentence_vectors
from training.models.students import open_student
from training.recipes.losses import graded_margin, margin_mse
from training.recipes.outputs import Result, facts_of, save_result
from training.run.collapse_alarm import health
from training.run.device import pick_device
from training.run.loop import Evaluation, Task, train
from training.run.progress import QUIET, Talk

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = ["Judged", "precision_at_10", "read_judged", "relevance"]

COLUMNS = ("query", "doc", "label")


@dataclass(frozen=True, slots=True)
class Judged:
    """A query, its documents and their grades in [0, 1]."""

    query: str
    documents: tuple[str, ...]
    grades: tuple[float, ...]


def read_judged(path: str, limit: int = 0) -> list[Judged]:
    """The queries of a DaReCzech file (TSV with a header; quotes mean nothing), in order of appearance.

    Raises ConfigError for no such file, DocumentError (line, column) for a column that is missing, an
    empty query or document, or a label that is no number from 0 to 1.
    """
    if not Path(path).is_file():
        raise ConfigError(f"train {path or '(not given)'}: no such file; give a DaReCzech TSV")
    found: dict[str, list[tuple[str, float]]] = {}
    with open_text(path) as lines:
        header = next(lines, "").rstrip("\r\n").split("\t")
        missing = [name for name in COLUMNS if name not in header]
        if missing:
            raise DocumentError(
                f"{path}: line 1: the columns {', '.join(missing)} are missing; "
                f"a header with {', '.join(COLUMNS)} is needed, not {header}"
            )
        places = [header.index(name) for name in COLUMNS]
        for number, line in enumerate(lines, start=2):
            if limit and number > limit + 1:
                break
            query, document, grade = _record(line, header, places, f"{path}: line {number}")
            found.setdefault(query, []).append((document, grade))
    if not found:
        raise DocumentError(f"{path}: there is no record in it")
    return [
        Judged(query, tuple(d for d, _ in rows), tuple(g for _, g in rows))
        for query, rows in found.items()
    ]


def relevance(settings: RelevanceSettings, output: Path, talk: Talk = QUIET) -> Result:
    """Train the student of `settings` on graded documents into OUT/model.

    A step reads `run.batch_size` queries with at most `documents` of each, drawn anew; or so many pairs.
    """
    run = settings.run
    device = pick_device(run.device)
    judged = read_judged(settings.train, settings.limit)
    held_out = read_judged(settings.held_out) if settings.held_out else []
    judged = _without(judged, held_out, talk)
    queries_read = len(judged)
    if settings.pairs:
        judged = [
            Judged(one.query, (document,), (grade,))
            for one in judged
            for document, grade in zip(one.documents, one.grades, strict=True)
        ]
    model = open_student(settings.student, str(device), run.seed)
    compare = _loss(settings, model)
    talk.say(f"{queries_read} queries with {sum(len(j.documents) for j in judged)} documents")

    def loss(rows: Rows) -> Tensor:
        random = np.random.default_rng(int(torch.randint(2**62, ()).item()))  # seeded by the loop
        texts: list[str] = []
        grades: list[float] = []
        queries: list[int] = []  # (n,) place in the batch of document i's query
        for place, row in enumerate(rows):
            one = judged[row]
            for i in random.permutation(len(one.documents))[: settings.documents]:
                texts.append(one.documents[i])
                grades.append(one.grades[i])
                queries.append(place)
        of_query = torch.tensor(queries, device=device)
        asked = sentence_vectors(model, [judged[row].query for row in rows])[of_query]  # (n, dim)
        wanted = torch.tensor(grades, device=device)
        documents = sentence_vectors(model, texts)
        with full_precision(device):
            return compare(asked, documents, wanted, of_query)

    def evaluate() -> Evaluation:
        asked = held_out_vectors(model, [one.query for one in held_out])
        documents = held_out_vectors(model, [text for one in held_out for text in one.documents])
        return Evaluation(precision_at_10(held_out, asked, documents), {}, health(documents))

    steps = steps_of(len(judged), run.batch_size, run.epochs, run.steps)
    lengths = np.array([max(map(len, j.documents)) for j in judged]) if run.bucket else None
    order = plan(shuffled(len(judged), run.seed), steps, run.batch_size, run.seed, lengths)
    data = [
        text
        for one in (*judged, *held_out)
        for text in (one.query, *one.documents, str(one.grades))
    ]
    task = Task(model, order, loss, evaluate if held_out else None, facts_of(settings, data))
    outcome = train(task, run, output, talk.tell)
    return save_result(output, "relevance", model, settings, outcome, "P@10", len(judged))


def precision_at_10(
    judged: Sequence[Judged], queries: NDArray[np.floating], documents: NDArray[np.floating]
) -> float:
    """Mean over queries of the share of relevant (above 0.5) among the ten nearest of its documents.

    `queries` (queries, dim), `documents` (all documents, dim) in the order of `judged`. Ties go to the
    document that stands first.
    """
    asked, found = unit_rows(queries), unit_rows(documents)
    shares = []
    start = 0
    for row, one in enumerate(judged):
        count = len(one.documents)
        scores = found[start : start + count] @ asked[row]
        best = np.argsort(-scores, kind="stable")[:10]
        shares.append(float(np.mean(np.array(one.grades)[best] > 0.5)))
        start += count
    return float(np.mean(shares))


def _loss(
    settings: RelevanceSettings, model: SentenceTransformer
) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
    """(query vectors, document vectors (n, dim), grades (n,), queries' numbers (n,)) -> the loss."""
    from sentence_transformers.sentence_transformer.losses import CosineSimilarityLoss

    cosine = CosineSimilarityLoss(model)

    def compare(asked: Tensor, documents: Tensor, grades: Tensor, queries: Tensor) -> Tensor:
        if settings.loss == "cosine":
            found: Tensor = cosine.compute_loss_from_embeddings([asked, documents], grades)
            return found
        scores = torch.cosine_similarity(asked, documents)  # (n,)
        by = graded_margin if settings.loss == "margin" else margin_mse
        return by(scores, grades, queries, settings.margin)

    return compare


def _record(line: str, header: list[str], places: list[int], place: str) -> tuple[str, str, float]:
    cells = line.rstrip("\r\n").split("\t")
    if len(cells) != len(header):
        raise DocumentError(f"{place}: {len(cells)} columns, where the header has {len(header)}")
    query, document, label = (cells[i].strip() for i in places)
    if not query or not document:
        raise DocumentError(f"{place}: the {'query' if not query else 'doc'} is empty")
    try:
        grade = float(label)
    except ValueError:
        grade = math.nan
    if not 0 <= grade <= 1:
        raise DocumentError(f"{place}: label {label!r} is no number from 0 to 1")
    return query, document, grade


def _without(judged: list[Judged], held_out: list[Judged], talk: Talk) -> list[Judged]:
    """The queries that are not among the held-out ones; says how many were."""
    queries = {one.query for one in held_out}
    kept = [one for one in judged if one.query not in queries]
    if len(kept) < len(judged):
        talk.say(f"{len(judged) - len(kept)} queries of the held-out file were taken out")
    if not kept:
        raise ConfigError("train: every query is also in the held-out file")
    return kept
