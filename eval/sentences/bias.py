"""Does an encoder prefer a language over a meaning? Two answers.

`language_bias`: Reimers and Gurevych 2020, section 6: STS sets of many language pairs, each measured
alone (expected) and all joined (actual). Where cosines of one language pair are higher than those of
another for equal grades, the joined figure falls below.

`answer_precision`: LAReQA (Roy et al. 2020): questions against one pool of the answers of all languages, mAP@20.

`pool_precision`: sentence-to-translation retrieval in one pool of all languages; the right answers to a query are its
translations in all of them, with LAReQA's measure. mAP@20 over the pool, and for each pair of languages.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from configs.errors import DocumentError
from eval.sentences.encoding import Remembering, encoded
from eval.sentences.sts import Correlation, Graded, correlation, cosines, joined
from eval.sentences.tables import lines, read_rows
from indexer.schema import Encoder, Matrix

__all__ = [
    "AnswerPool",
    "LanguageBias",
    "Pool",
    "PoolPrecision",
    "aligned_pool",
    "answer_precision",
    "language_bias",
    "pool_precision",
    "read_answers",
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
class AnswerPool:
    """Questions, whose `meanings` are their ids, and a pool of answers: (m,) texts, languages, and the questions that
    each answers."""

    questions: Pool
    texts: tuple[str, ...]
    langs: tuple[str, ...]
    answered: tuple[frozenset[str], ...]


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


def read_answers(questions: Sequence[str], answers: Sequence[str]) -> AnswerPool:
    """LAReQA's input: JSON lines of questions (`id`, `lang`, `text`) and of answers (`id`, `lang`, `text`, `questions`:
    the ids of those it answers, one text or a list). Several files of each are one pool.

    A question's id is that of its translations too. Raises DocumentError for an answer to a question that is not there.
    """
    rows = [row for path in questions for row in _json_lines(path, ("id", "lang", "text"))]
    asked = {row["id"] for row in rows}
    found = [
        row for path in answers for row in _json_lines(path, ("id", "lang", "text", "questions"))
    ]
    of = [
        row["questions"] if isinstance(row["questions"], list) else [row["questions"]]
        for row in found
    ]
    unknown = sorted({str(one) for ids in of for one in ids} - asked)
    if unknown:
        raise DocumentError(
            f"{', '.join(answers)}: answers to {len(unknown)} questions that are not in {', '.join(questions)}, "
            f"first {unknown[0]!r}"
        )
    return AnswerPool(
        Pool(
            tuple(row["text"] for row in rows),
            tuple(row["lang"] for row in rows),
            tuple(row["id"] for row in rows),
        ),
        tuple(row["text"] for row in found),
        tuple(row["lang"] for row in found),
        tuple(frozenset(map(str, ids)) for ids in of),
    )


def answer_precision(
    pool: AnswerPool, questions: Matrix, answers: Matrix, depth: int = DEPTH, block: int = 512
) -> PoolPrecision:
    """LAReQA (Roy et al. 2020): every question asks one pool of the answers of all languages.

    `questions` (n, dim) and `answers` (m, dim): unit rows. Figures as `pool_precision`.
    """
    right: dict[str, list[int]] = {}
    for row, ids in enumerate(pool.answered):
        for one in ids:
            right.setdefault(one, []).append(row)
    asked = pool.questions
    return _precision(
        asked.langs, pool.langs, [right.get(one, []) for one in asked.meanings], questions, answers,
        False, depth, block,
    )  # fmt: skip


def _json_lines(path: str, names: Sequence[str]) -> list[dict[str, Any]]:
    """The objects of a JSON-lines file, each with these keys. DocumentError with the line where one is not."""
    found = []
    for number, line in lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict) or any(not row.get(name) for name in names):
            raise DocumentError(
                f"{path}:{number}: a JSON object with {', '.join(names)} is expected"
            )
        found.append({**row, "id": str(row["id"])})
    if not found:
        raise DocumentError(f"{path}: there is nothing in it")
    return found


def pool_precision(
    pool: Pool, vectors: Matrix, depth: int = DEPTH, block: int = 512
) -> PoolPrecision:
    """Every sentence asks the pool for its translations; itself left out. `vectors`: (n, dim) unit rows.

    AP@k = sum over right answers within k of precision at their rank, over min(k, right answers), as
    LAReQA's evaluation computes it. Ties go to the lower row. A block of queries at a time is compared
    with the whole pool: memory is block x n.
    """
    rows_of: dict[str, list[int]] = {}
    for row, meaning in enumerate(pool.meanings):
        rows_of.setdefault(meaning, []).append(row)
    right = [
        [other for other in rows_of[meaning] if other != row]
        for row, meaning in enumerate(pool.meanings)
    ]
    return _precision(pool.langs, pool.langs, right, vectors, vectors, True, depth, block)


def _precision(
    asking: Sequence[str],
    answering: Sequence[str],
    right_rows: Sequence[Sequence[int]],
    queries_of: Matrix,
    candidates_of: Matrix,
    itself: bool,
    depth: int,
    block: int,
) -> PoolPrecision:
    """`asking`, `answering`: the languages of queries and candidates; `right_rows`: of each query; `itself`: a query is
    the candidate of the same row, which it does not find.
    """
    langs = tuple(dict.fromkeys([*asking, *answering]))
    lang = np.array([langs.index(code) for code in asking])  # (queries,)
    other = np.array([langs.index(code) for code in answering])  # (candidates,)
    average = np.full(len(lang), np.nan)  # AP@k of each query
    reciprocal = np.zeros((len(langs), len(langs)))
    asked = np.zeros((len(langs), len(langs)), dtype=np.int64)
    own_language_first = 0
    for start in range(0, len(lang), block):
        scores = queries_of[start : start + block] @ candidates_of.T  # (block, candidates)
        for query, row_scores in enumerate(scores, start=start):
            right = right_rows[query]
            if not right:
                continue
            if itself:
                row_scores[query] = -np.inf
            before = _wrong_before(row_scores, right)  # wrong candidates above each right answer
            order = sorted(range(len(right)), key=lambda at: (-row_scores[right[at]], right[at]))
            hits = 0.0
            for found, at in enumerate(order, start=1):
                rank = before[at] + found
                if rank <= depth:
                    hits += found / rank
                q, a = lang[query], other[right[at]]
                asked[q, a] += 1
                if before[at] + 1 <= depth:
                    reciprocal[q, a] += 1 / (before[at] + 1)
            average[query] = hits / min(depth, len(right))
            first = int(row_scores.argmax())
            own_language_first += bool(first not in right and other[first] == lang[query])
    queries = ~np.isnan(average)
    if not queries.any():
        raise DocumentError(
            "no sentence has a counterpart in the pool; ids must repeat across languages"
        )
    return PoolPrecision(
        langs=langs,
        queries=int(queries.sum()),
        candidates=len(other),
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
