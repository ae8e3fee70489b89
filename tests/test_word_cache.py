"""The words of many texts looked up together are the words of each, whatever is remembered of them."""

from __future__ import annotations

import random
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import indexer.text.word_cache
from indexer.text.analysis import _kinds, analyse, analyse_all, tokens
from indexer.text.word_cache import (
    ALONE,
    INSIDE,
    JOINED,
    LONGEST,
    Pieces,
    Rows,
    cut,
    kinds,
    portions,
)

KINDS = kinds(0x300, {INSIDE: "[a-z]", ALONE: "[.!]", JOINED: "['\u0301]"})
TEXTS = ["", "ab cd ab", "a.b", "'a'b ''", "x" * (LONGEST + 1), "\n", "ab cd ab cd\nab"]
WORDS = [
    [],
    ["ab", "cd", "ab"],
    ["a", ".", "b"],
    ["a'b"],
    ["x" * 25],
    [],
    ["ab", "cd", "ab", "cd", "ab"],
]


def spelled(rows: Rows) -> list[list[str]]:
    pairs = zip(rows.borders, rows.borders[1:], strict=False)
    return [rows.flat[a:b].tobytes().decode().split() for a, b in pairs]


class Learner:
    """Gives each word back, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    def __call__(self, words: list[str], group: int) -> list[list[bytes]]:
        self.asked += [(word, group) for word in words]
        return [[f"{word}/{group} ".encode() for word in words]]


def test_texts_are_cut_by_the_kinds_of_their_letters() -> None:
    found = cut(TEXTS, KINDS)
    spans = zip(found.starts.tolist(), found.lengths.tolist(), strict=True)
    words = [found.joined[start : start + length] for start, length in spans]
    assert words == [word for each in WORDS for word in each]
    assert np.diff(found.borders).tolist() == [len(each) for each in WORDS]
    same = dict(zip(words, found.hashes.tolist(), strict=True))
    assert [same[word] for word in words] == found.hashes.tolist()
    assert len(set(same.values())) == len(same)


def test_a_word_is_learned_once_for_each_group() -> None:
    learner = Learner()
    table = Pieces(learner, [np.uint8])
    for _ in range(2):
        (rows,) = table.look_up(cut(TEXTS, KINDS), [0, 0, 0, 0, 0, 0, 1])
        expected = [[f"{word}/{int(n == 6)}" for word in each] for n, each in enumerate(WORDS)]
        assert spelled(rows) == expected
    once = [(word, 0) for word in ("ab", "cd", "a", ".", "b", "a'b")] + [("ab", 1), ("cd", 1)]
    long = ("x" * 25, 0)  # as it is not remembered, it is asked for again
    assert sorted(learner.asked) == sorted([*once, long, long])
    assert len(table) == len(once)


@pytest.mark.parametrize("base", [1, indexer.text.word_cache._BASE])
def test_words_that_share_a_hash_are_told_apart(base: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # with 1 for a base, words of the same letters have one hash: their sum
    monkeypatch.setattr(indexer.text.word_cache, "_BASE", base)
    monkeypatch.setattr(indexer.text.word_cache, "_powers", None)
    table = Pieces(Learner(), [np.uint8])
    texts = ["ab ba ad bc cb", "ba ab ab", "bc cb da"]
    for _ in range(3):
        (rows,) = table.look_up(cut(texts, KINDS), [0, 0, 0])
        assert spelled(rows) == [[f"{word}/0" for word in text.split()] for text in texts]
    assert (len(table) < 6) == (base == 1)


def test_what_was_not_asked_for_the_longest_is_forgotten() -> None:
    learner = Learner()
    table = Pieces(learner, [np.uint8], most=40)
    source = random.Random(5)
    for n in range(60):
        texts = [
            "often " + " ".join(chr(97 + source.randrange(26)) * k for k in (1, 2, n % 20 + 3))
        ]
        (rows,) = table.look_up(cut(texts, KINDS), [0])
        assert spelled(rows) == [[f"{word}/0" for word in text.split()] for text in texts]
        assert len(table) <= 44
    assert [word for word, _ in learner.asked].count("often") == 1
    assert len(learner.asked) > 60


def test_portions_are_of_many_texts_or_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexer.text.word_cache, "_LETTERS", 10)
    texts = ["x" * n for n in (4, 6, 1, 30, 0, 10, 1)]
    assert [len(texts[some]) for some in portions(texts)] == [2, 1, 1, 2, 1]
    assert [text for some in portions(texts) for text in texts[some]] == texts
    assert all(
        sum(map(len, texts[some])) <= 10 or len(texts[some]) == 1 for some in portions(texts)
    )
    assert list(portions([])) == []


LETTERS = st.text("ab Z.ÀΣσς\u0301\u093eि한국어日本語ー\u200c_9½ı\n\ud800😀", max_size=12)


@given(st.lists(LETTERS, min_size=16, max_size=20), st.sampled_from(["cs", "en", "hi", "zh", ""]))
def test_many_texts_are_analysed_as_one_is(texts: list[str], lang: str) -> None:
    assert analyse_all(texts, [lang] * len(texts)) == [analyse(text, lang) for text in texts]


def test_every_letter_is_of_the_kind_that_words_have() -> None:
    every = "".join(map(chr, range(0x32500)))
    words = [(start, end) for _, start, end in tokens(every)]
    found = cut([every], _kinds())
    spans = zip(found.starts.tolist(), found.lengths.tolist(), strict=True)
    assert [(start - 1, start - 1 + length) for start, length in spans] == words
    assert not re.search(r"[^\W_]", "".join(map(chr, range(0x32400, 0x110000))))
