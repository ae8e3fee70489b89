"""Costra 1.1: does the geometry of Czech sentence vectors follow how sentences were changed?

Barančíková and Bojar 2020 ("Costra 1.1: An Inquiry into Geometric Properties of Sentence Spaces"). Each
judgment says that one pair of sentences should be nearer than another; the figure of a category is the
share of judgments that cosine agrees with.

Two means are in use, and figures of the one must not be put beside figures of the other. The evaluator of the
`costra` package 1.1 averages all six categories (it rounds each to three digits first). The figures of Bednář
et al. 2023 do not fit that mean: they give RetroMAE-Small 69.66, while the package's page gives the same model
.486 over six, and its figures of the four categories whose judgments are people's orderings average .693. In
the other two, `basic` and `modality`, encoders keep few of the judgments.

The data comes from the `costra` package (its evaluator needs pkg_resources, which setuptools has dropped; the
tests check these figures against it). Sentences are taken as written; that evaluator's CSV reader drops the
quotation marks around 22 of them.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from configs.errors import DocumentError, MissingExtra
from eval.sentences.tables import lines
from indexer.schema import Matrix

__all__ = [
    "CATEGORIES",
    "Comparison",
    "Costra",
    "Sentence",
    "bundled",
    "comparisons",
    "package_version",
    "read",
    "score",
]

CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "basic": ("different meaning", "nonsense", "minimal change"),
    "modality": ("ban", "possibility"),
    "time": ("past", "future"),
    "style": ("formal sentence", "nonstandard sentence", "simple sentence"),
    "generalization": ("generalization",),
    "opposite_meaning": ("opposite meaning",),
}
FROM_PARAPHRASES = ("basic", "modality")  # the other categories come from the people's orderings

Comparison = tuple[int, int, int, int]
"""(a, b, c, d): rows a and b should be nearer to each other than rows c and d."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """One row of the data. `less`, `more`, `similar`, `dissimilar` are rows ordered by annotators."""

    seed: int
    transformation: str
    text: str
    tokens: str
    less: tuple[int, ...]
    more: tuple[int, ...]
    similar: tuple[int, ...]
    dissimilar: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Costra:
    """Share of judgments kept, by category, each in [0, 1], and two unweighted means of categories."""

    categories: dict[str, float]
    judgments: dict[str, int]
    mean_of_six: float
    """Over all categories: `costra` in the package's results, but for the package's rounding."""
    mean_without_basic_and_modality: float
    """Over time, style, generalization and opposite_meaning."""


def bundled() -> Path:
    """The data inside the `costra` package. Raises MissingExtra when it is not installed."""
    found = find_spec("costra")
    folders = list(found.submodule_search_locations or []) if found else []
    path = Path(folders[0]) / "data" / "data.tsv" if folders else Path("-")
    if not path.is_file():
        raise MissingExtra("costra", "eval", "the Costra data")
    return path


def package_version() -> str | None:
    """The installed version of the `costra` package, which says which data `bundled` is."""
    try:
        return version("costra")
    except PackageNotFoundError:
        return None


def read(path: str | Path) -> list[Sentence]:
    """Costra's TSV: number, seed, transformation, sentence, tokens, and up to four lists of numbers."""
    sentences: list[Sentence] = []
    for number, line in lines(path):
        cells = line.split("\t")
        if len(cells) < 5:
            raise DocumentError(
                f"{path}:{number}: Costra's rows have 5 to 9 columns, here are {len(cells)}"
            )
        cells += [""] * (9 - len(cells))
        try:
            at, seed = int(cells[0]), int(cells[1])
            orders = [tuple(int(x) for x in cell.split(",") if x.strip()) for cell in cells[5:9]]
        except ValueError as error:
            raise DocumentError(f"{path}:{number}: numbers are expected ({error})") from error
        if at != len(sentences):
            raise DocumentError(f"{path}:{number}: sentence {len(sentences)} is expected, not {at}")
        sentences.append(Sentence(seed, cells[2], cells[3], cells[4], *orders))
    if not sentences:
        raise DocumentError(f"{path}: the file is empty")
    for number, sentence in enumerate(sentences, start=1):
        rows = (*sentence.less, *sentence.more, *sentence.similar, *sentence.dissimilar)
        if wrong := [row for row in rows if not 0 <= row < len(sentences)]:
            raise DocumentError(f"{path}:{number}: there is no sentence {wrong[0]}")
    return sentences


def comparisons(sentences: Sequence[Sentence]) -> dict[str, list[Comparison]]:
    """All judgments, by category."""
    basic: dict[str, list[Comparison]] = defaultdict(list)
    ordered: dict[str, list[Comparison]] = defaultdict(list)
    groups: dict[int, list[int]] = defaultdict(list)
    for row, sentence in enumerate(sentences):
        groups[sentence.seed].append(row)
    for group in groups.values():
        seed = next((row for row in group if sentences[row].transformation == "seed"), None)
        paraphrases = [row for row in group if sentences[row].transformation == "paraphrase"]
        for row in group:
            one = sentences[row]
            if seed is not None and one.transformation not in ("seed", "paraphrase"):
                # a paraphrase is nearer to the seed than any changed sentence
                basic[one.transformation] += [(seed, p, seed, row) for p in paraphrases]
            # the sentence lies between those that are less and those that are more of something
            for i in one.less:
                for j in one.more:
                    kind = sentences[i].transformation if one.transformation == "seed" else ""
                    ordered[kind or one.transformation].append((row, i, i, j))
                    kind = sentences[j].transformation if one.transformation == "seed" else ""
                    ordered[kind or one.transformation].append((row, j, i, j))
            ordered[one.transformation] += [
                (row, i, row, j) for i in one.similar for j in one.dissimilar
            ]
    return {
        category: [
            comparison
            for transformation in transformations
            for comparison in (basic if category in FROM_PARAPHRASES else ordered)[transformation]
        ]
        for category, transformations in CATEGORIES.items()
    }


def score(sentences: Sequence[Sentence], vectors: Matrix) -> Costra:
    """The share of judgments that cosine keeps, strictly. `vectors`: (n, dim) unit rows, one a sentence."""
    shares: dict[str, float] = {}
    judgments: dict[str, int] = {}
    for category, found in comparisons(sentences).items():
        a, b, c, d = np.array(found, dtype=np.int64).reshape(-1, 4).T
        near = np.einsum("nd,nd->n", vectors[a], vectors[b], dtype=np.float64)
        far = np.einsum("nd,nd->n", vectors[c], vectors[d], dtype=np.float64)
        judgments[category] = len(found)
        shares[category] = float((near > far).mean()) if found else 0.0
    ordered = [share for name, share in shares.items() if name not in FROM_PARAPHRASES]
    return Costra(shares, judgments, statistics.fmean(shares.values()), statistics.fmean(ordered))
