"""Does an encoder prefer a language over a meaning? Two answers.

`language_bias`: Reimers and Gurevych 2020, section 6: STS sets of many language pairs, each measured
alone (expected) and all joined (actual). Where cosines of one language pair are higher than those of
another for equal grades, the joined figure falls below.

`pool_precision`: sentence-to-translation retrieval in one pool of all languages; the right answers to a query are its
translations in all of them. The measure and the matrix are those of LAReQA (Roy et al. 2020), whose task is another one,
questions to answers. mAP@20 over the pool, and for each pair of languages.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from configs.errors import DocumentError
from eval.sentences.encoding import Remembering, encoded
from eval.sentences.sts import Correlation, Graded, correlation, cosines, joined
from eval.sentences.tables import read_rows
from indexer.schema import Encoder, Matrix

__all__ = [
    "LanguageBias",
    "Pool",
    "PoolPrecision",
    "aligned_pool",
    "language_bias",
    "pool_precision",
    "read_pool",
]

DEPTH = 20  # as in LAReQA and XTREME-R


@dataclass(frozen=True, slots=True)
class LanguageBias:
    """Spearman of each set alone, their mean (expected), that of the joined set (actual)."""

    sets: tuple[Correlation, ...]
    expected: float
    actual: float
    difference: float
    """actual - expected; below zero is bias."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Sentences of many languages; those with one `meaning` are translations of each other."""

    texts: tuple[str, ...]
    langs: tuple[str, ...]
    meanings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PoolPrecision:
    """Figures as LAReQA gives them. `matrix[q][a]`: query language q, answer language a, in the order of `langs`."""

    langs: tuple[str, ...]
    queries: int
    candidates: int
    depth: int
    mean_average_precision: float
    by_query_language: dict[str, float]
    matrix: tuple[tuple[float | None, ...], ...]
    """Each cell keeps only its language's right answer in the pool (the other right answers are taken
    out, all wrong ones stay) and is the mean of 1 / rank within `depth`; None where nothing is asked."""
    same_language_first: float
    """Share of queries whose first hit is a wrong one in the query's own language."""


def language_bias(sets: Sequence[Graded], encoder: Encoder) -> LanguageBias:
    """Expected and actual Spearman over sets of graded pairs. At least two sets are needed."""
    if len(sets) < 2:
        raise DocumentError("language bias compares sets of two languages or more; one was given")
    kept = Remembering(encoder)
    alone = [
        cosines(encoded(kept, one.first, one.name), encoded(kept, one.second, one.name))
        for one in sets
    ]
    found = tuple(
        correlation(one.name, values, one.grades) for one, values in zip(sets, alone, strict=True)
    )
    expected = sum(one.spearman for one in found) / len(found)
    together = joined(sets)
    actual = correlation(together.name, np.concatenate(alone), together.grades).spearman
    return LanguageBias(found, expected, actual, actual - expected)


def read_pool(path: str, columns: Sequence[str] | None = None) -> Pool:
    """`id`, `lang`, `text`: sentences with one id are translations of each other."""
    rows = read_rows(path, ("id", "lang", "text"), columns)
    meanings, langs, texts = zip(*(row.values for row in rows), strict=True)
    _check(path, langs, meanings)
    return Pool(texts, langs, meanings)


def aligned_pool(pivot: str, files: Sequence[tuple[str, str]]) -> Pool:
    """A pool from two-column files that share their first column, line by line.

    `files` are (language, path); `pivot` is the language of the shared column (English in NTREX-128).
    Raises DocumentError at the first line where the shared column differs.
    """
    texts: list[str] = []
    langs: list[str] = []
    shared: list[str] | None = None
    for lang, path in files:
        rows = read_rows(path, (pivot, lang))
        first = [row.values[0] for row in rows]
        if shared is None:
            shared = first
            texts, langs = list(first), [pivot] * len(first)
        elif first != shared:
            row = next(
                (r for r, (a, b) in enumerate(zip(first, shared, strict=False)) if a != b), -1
            )
            place = f"{path}:{rows[row].line}" if row >= 0 else path
            raise DocumentError(
                f"{place}: the first column differs from that of {files[0][1]}; all files must "
                "hold the same sentences in the same order"
            )
        texts += [row.values[1] for row in rows]
        langs += [lang] * len(rows)
    assert shared is not None
    meanings = [str(row) for row in range(len(shared))] * (len(files) + 1)
    _check(", ".join(path for _, path in files), langs, meanings)
    return Pool(tuple(texts), tuple(langs), tuple(meanings))


def pool_precision(
    pool: Pool, vectors: Matrix, depth: int = DEPTH, block: int = 512
) -> PoolPrecision:
    """Every sentence asks the pool for its translations; itself left out. `vectors`: (n, dim) unit rows.

    AP@k = sum over right answers within k of precision at their rank, over min(k, right answers), as
    LAReQA's evaluation computes it. Ties go to the lower row. A block of queries at a time is compared
    with the whole pool: memory is block x n.
    """
    langs = tuple(dict.fromkeys(pool.langs))
    lang = np.array([langs.index(code) for code in pool.langs])  # (n,)
    numbers = {meaning: at for at, meaning in enumerate(dict.fromkeys(pool.meanings))}
    meaning = np.array([numbers[one] for one in pool.meanings])  # (n,)
    right_rows: list[list[int]] = [[] for _ in numbers]
    for row, one in enumerate(meaning.tolist()):
        right_rows[one].append(row)

    average = np.full(len(lang), np.nan)  # AP@k of each query
    reciprocal = np.zeros((len(langs), len(langs)))
    asked = np.zeros((len(langs), len(langs)), dtype=np.int64)
    own_language_first = 0
    for start in range(0, len(lang), block):
        scores = vectors[start : start + block] @ vectors.T  # (block, n)
        for query, row_scores in enumerate(scores, start=start):
            right = [row for row in right_rows[meaning[query]] if row != query]
            if not right:
                continue
            row_scores[query] = -np.inf  # a query does not find itself
            before = _wrong_before(row_scores, right)  # wrong candidates above each right answer
            order = sorted(range(len(right)), key=lambda at: (-row_scores[right[at]], right[at]))
            hits = 0.0
            for found, at in enumerate(order, start=1):
                rank = before[at] + found
                if rank <= depth:
                    hits += found / rank
                q, a = lang[query], lang[right[at]]
                asked[q, a] += 1
                if before[at] + 1 <= depth:
                    reciprocal[q, a] += 1 / (before[at] + 1)
            average[query] = hits / min(depth, len(right))
            first = int(row_scores.argmax())
            own_language_first += bool(first not in right and lang[first] == lang[query])
    queries = ~np.isnan(average)
    if not queries.any():
        raise DocumentError(
            "no sentence has a counterpart in the pool; ids must repeat across languages"
        )
    return PoolPrecision(
        langs=langs,
        queries=int(queries.sum()),
        candidates=len(lang),
        depth=depth,
        mean_average_precision=float(average[queries].mean()),
        by_query_language={
            code: float(average[queries & (lang == at)].mean())
            for at, code in enumerate(langs)
            if (queries & (lang == at)).any()
        },
        matrix=tuple(
            tuple(
                float(reciprocal[q, a] / asked[q, a]) if asked[q, a] else None
                for a in range(len(langs))
            )
            for q in range(len(langs))
        ),
        same_language_first=own_language_first / int(queries.sum()),
    )


def _wrong_before(scores: NDArray[np.float32], right: Sequence[int]) -> list[int]:
    """For each right row, how many wrong rows come before it. (n,) scores -> one count a right row."""
    counts = []
    for row in right:
        above = scores > scores[row]
        ties = np.flatnonzero(scores[:row] == scores[row])
        inside = sum(1 for other in right if above[other]) + len(set(ties.tolist()) & set(right))
        counts.append(int(above.sum()) + len(ties) - inside)
    return counts


def _check(place: str, langs: Sequence[str], meanings: Sequence[str]) -> None:
    if len(set(langs)) < 2:
        raise DocumentError(f"{place}: a pool needs two languages or more, here is only {langs[0]}")
    (lang, meaning), count = Counter(zip(langs, meanings, strict=True)).most_common(1)[0]
    if count > 1:
        raise DocumentError(f"{place}: the id {meaning} stands {count} times for language {lang}")
