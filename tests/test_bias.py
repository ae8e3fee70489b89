"""Language bias, and the pool of all languages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from configs.errors import DocumentError
from eval.sentences.bias import (
    AnswerPool,
    Pool,
    aligned_pool,
    answer_precision,
    language_bias,
    pool_precision,
    read_pool,
)
from eval.sentences.sts import Graded
from indexer.encoders.hash_encoder import HashEncoder
from indexer.schema import Kind, Matrix
from indexer.vectors import unit_rows


class Circle:
    """Text is an angle in degrees: cosines are known."""

    name = "circle"
    dim = 2
    fingerprint = "circle-1"
    max_tokens: int | None = None

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [1] * len(texts)

    def encode(self, texts: Sequence[str], kind: Kind = "passage") -> Matrix:
        angles = np.radians([float(text) for text in texts])
        return unit_rows(np.stack([np.cos(angles), np.sin(angles)], axis=1))


def test_a_language_pair_with_higher_cosines_shows_as_bias() -> None:
    # each set is in perfect order; joined, the second set's worst pair looks better than the first's best
    one = Graded("one", ("0", "0", "0"), ("60", "70", "80"), (3.0, 2.0, 1.0))
    other = Graded("other", ("0", "0", "0"), ("10", "20", "30"), (3.0, 2.0, 1.0))
    found = language_bias([one, other], Circle())
    assert [each.spearman for each in found.sets] == pytest.approx([1.0, 1.0])
    assert found.expected == pytest.approx(1.0)
    # grades ranked 5.5 3.5 1.5 5.5 3.5 1.5 against cosines ranked 3 2 1 6 5 4: 8 / sqrt(16 * 17.5)
    assert found.actual == pytest.approx(8 / (16 * 17.5) ** 0.5)
    assert found.difference == pytest.approx(found.actual - 1.0)


def test_bias_needs_two_sets() -> None:
    one = Graded("one", ("0", "0"), ("60", "70"), (3.0, 2.0))
    with pytest.raises(DocumentError, match="two languages or more"):
        language_bias([one], Circle())


def pool() -> Pool:
    return Pool(("0", "10", "4", "90"), ("en", "cs", "en", "cs"), ("a", "a", "b", "b"))


def test_pool_precision_worked_out_by_hand() -> None:
    vectors = Circle().encode(pool().texts)
    found = pool_precision(pool(), vectors)
    # en a (0 deg): 4 is nearer than its cs at 10: AP 1/2.  cs a (10): 4, then 0: 1/2.
    # en b (4): 0, 10, then 90: 1/3.  cs b (90): 10, 4: 1/2.
    assert found.mean_average_precision == pytest.approx((1 / 2 + 1 / 2 + 1 / 3 + 1 / 2) / 4)
    assert found.by_query_language == pytest.approx({"en": 5 / 12, "cs": 1 / 2})
    assert found.langs == ("en", "cs")
    # one right answer a query here, so a cell is the mean reciprocal rank of that language's answer
    (en_en, en_cs), (cs_en, cs_cs) = found.matrix
    assert (en_en, cs_cs) == (None, None)
    assert [en_cs, cs_en] == pytest.approx([5 / 12, 1 / 2])
    # first hits: en a -> en b, en b -> en a: wrong ones of the own language; cs a -> en b; cs b -> cs a
    assert found.same_language_first == pytest.approx(3 / 4)


def test_only_answers_within_the_depth_count() -> None:
    vectors = Circle().encode(pool().texts)
    found = pool_precision(pool(), vectors, depth=2)
    assert found.mean_average_precision == pytest.approx((1 / 2 + 1 / 2 + 0 + 1 / 2) / 4)


def test_the_pool_agrees_with_a_plain_ranking() -> None:
    random = np.random.default_rng(5)
    langs = ("cs", "de", "en", "pl", "sw")
    n = 24 * len(langs)
    one = Pool(
        tuple(map(str, range(n))),
        tuple(langs[row % 5] for row in range(n)),
        tuple(str(row // 5) for row in range(n)),
    )
    meaning = random.standard_normal((24, 16))
    vectors = unit_rows(meaning[np.arange(n) // 5] + 0.9 * random.standard_normal((n, 16)))
    vectors[7] = vectors[3]  # a tie
    averages, cells = [], np.zeros((5, 5))
    for query in range(n):
        scores = vectors @ vectors[query]
        ranked = sorted((r for r in range(n) if r != query), key=lambda r: (-scores[r], r))
        right = [r for r in range(n) if r // 5 == query // 5 and r != query]
        hits = [i for i, r in enumerate(ranked[:20], start=1) if r in right]
        averages.append(sum((k + 1) / rank for k, rank in enumerate(hits)) / min(20, len(right)))
        for answer in right:
            alone = [r for r in ranked if r == answer or r not in right]
            rank = alone.index(answer) + 1
            cells[query % 5, answer % 5] += (1 / rank if rank <= 20 else 0) / 24
    found = pool_precision(one, vectors, block=7)
    assert found.mean_average_precision == pytest.approx(np.mean(averages), abs=1e-6)
    for q in range(5):
        for a in range(5):
            assert found.matrix[q][a] == (None if q == a else pytest.approx(cells[q, a], abs=1e-6))


def test_a_pool_comes_from_one_file_or_from_files_that_share_a_column(tmp_path: Path) -> None:
    file = tmp_path / "pool.tsv"
    file.write_text("a\ten\tA dog.\na\tcs\tPes.\n", "utf-8")
    assert read_pool(str(file)) == Pool(("A dog.", "Pes."), ("en", "cs"), ("a", "a"))
    cs, de = tmp_path / "n.eng-ces.tsv", tmp_path / "n.eng-deu.tsv"
    cs.write_text("A dog.\tPes.\nA cat.\tKočka.\n", "utf-8")
    de.write_text("A dog.\tEin Hund.\nA cat.\tEine Katze.\n", "utf-8")
    found = aligned_pool("en", [("cs", str(cs)), ("de", str(de))])
    assert found.texts == ("A dog.", "A cat.", "Pes.", "Kočka.", "Ein Hund.", "Eine Katze.")
    assert found.langs == ("en", "en", "cs", "cs", "de", "de")
    assert found.meanings == ("0", "1") * 3
    assert pool_precision(found, HashEncoder().encode(found.texts)).queries == 6


def test_faulty_pools_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "pool.tsv"
    file.write_text("a\ten\tA dog.\na\ten\tA cat.\na\tcs\tPes.\n", "utf-8")
    with pytest.raises(DocumentError, match="the id a stands 2 times for language en"):
        read_pool(str(file))
    file.write_text("a\ten\tA dog.\nb\ten\tA cat.\n", "utf-8")
    with pytest.raises(DocumentError, match="here is only en"):
        read_pool(str(file))
    file.write_text("a\ten\tA dog.\nb\tcs\tPes.\n", "utf-8")
    lonely = read_pool(str(file))
    with pytest.raises(DocumentError, match="no sentence has a counterpart"):
        pool_precision(lonely, HashEncoder().encode(lonely.texts))
    other = tmp_path / "other.tsv"
    file.write_text("A dog.\tPes.\nA cat.\tKočka.\n", "utf-8")
    other.write_text("A dog.\tEin Hund.\nThe cat.\tDie Katze.\n", "utf-8")
    with pytest.raises(DocumentError, match=r"other\.tsv:2: the first column differs"):
        aligned_pool("en", [("cs", str(file)), ("de", str(other))])


def test_lareqa_by_hand() -> None:
    # two questions; of the first two answers are right, at ranks 1 and 3; of the second one, at rank 2
    questions = Pool(("q1", "q2"), ("en", "cs"), ("1", "2"))
    answered = (frozenset("1"), frozenset("2"), frozenset("1"), frozenset[str]())
    pool = AnswerPool(questions, ("a", "b", "c", "d"), ("en", "en", "cs", "en"), answered)
    asked = np.array([[1, 0], [0, 1]], np.float32)
    answers = np.array([[0.9, 0.0], [0.8, 0.5], [0.7, 0.0], [0.0, 0.6]], np.float32)
    found = answer_precision(pool, asked, answers)
    assert found.mean_average_precision == pytest.approx(((1 + 2 / 3) / 2 + 1 / 2) / 2)
    assert (found.queries, found.candidates, found.langs) == (2, 4, ("en", "cs"))
    # of the first question: the English answer is first, the Czech one has one wrong answer before it
    assert found.matrix == ((1.0, 0.5), (0.5, None))
    assert found.same_language_first == 0.0
