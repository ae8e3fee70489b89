"""A teacher's body under a new vocabulary: its embeddings by hand, and how far it sees untrained."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import exp
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from configs.training import StudentSettings
from indexer.encoders import tokenizer_files
from indexer.encoders.local_models import FAST
from indexer.encoders.opening import open_encoder
from indexer.schema import Matrix
from indexer.vectors import translation_accuracy, unit_rows
from training.models.students import open_student
from training.models.vocabulary_transplant import new_embeddings, word_means

PAIRS = [
    ("The doctor works in a hospital.", "Lékař pracuje v nemocnici."),
    ("Our school has a new teacher.", "Naše škola má nového učitele."),
    ("The government lost the election.", "Vláda prohrála volby."),
    ("The dog sleeps under the table.", "Pes spí pod stolem."),
    ("We bought bread and milk.", "Koupili jsme chléb a mléko."),
    ("The river flows through the city.", "Řeka teče městem."),
    ("He plays the piano every day.", "Každý den hraje na klavír."),
    ("The train leaves at six o'clock.", "Vlak odjíždí v šest hodin."),
    ("Snow fell in the mountains.", "Na horách napadl sníh."),
    ("The company makes cars.", "Společnost vyrábí auta."),
    ("My sister lives in Germany.", "Moje sestra žije v Německu."),
    ("The war ended in May.", "Válka skončila v květnu."),
]


def words_of_pairs(path: Path) -> str:
    """A tokenizer.json of the words of PAIRS (the shipped one has too many tokens for a test)."""
    text = " ".join(sentence for pair in PAIRS for sentence in pair).lower()
    words = ["[UNK]", *dict.fromkeys(re.findall(r"\w+|[^\w\s]", text))]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(path))
    return str(path)


def test_a_mean_is_weighted_by_a_softmax_of_the_cosines() -> None:
    words = np.array([[1, 0], [0.6, 0.8], [0, 1]], np.float32)
    embeddings = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    found = word_means(np.array([[1, 0]], np.float32), words, embeddings, 2, temperature=0.4)
    # cosines 1 and 0.6 count, at a temperature of 0.4: exp(1) to 1
    assert np.allclose(found, [[exp(1) / (exp(1) + 1), 1 / (exp(1) + 1), 0]], atol=1e-6)


def test_tokens_are_taken_over_or_made_of_their_neighbours() -> None:
    old = np.array([[9, 9], [1, 0], [0, 1], [5, 5]], np.float32)
    old_vocabulary = {"[CLS]": 0, "dog": 1, "cat": 2, ".": 3}
    shared = {"dog": [1, 0], "cat": [0, 1], "pes": [1, 0]}

    def encode(texts: Sequence[str]) -> Matrix:
        return np.array([shared.get(text, [0, 0]) for text in texts], np.float32)

    vocabulary = {"[CLS]": 0, "▁dog": 1, "▁pes": 2, ".": 3, "▁xyz": 4}
    new = new_embeddings(old, old_vocabulary, vocabulary, {"[CLS]": 0}, encode)
    assert new[0].tolist() == [9, 9]  # special: the old one
    assert new[1].tolist() == [1, 0]  # a word both have
    assert np.allclose(new[2], [1, 0], atol=1e-6)  # nearest to dog by far
    assert new[3].tolist() == [5, 5]  # a sign both have
    assert new[4].tolist() == [0.5, 0.5]  # without a vector: the mean of the words


def test_untrained_it_finds_translations_that_the_teacher_does_not(tmp_path: Path) -> None:
    if not tokenizer_files.find(FAST).is_file():
        pytest.skip("this checkout carries no student")
    settings = StudentSettings(
        body="all-MiniLM-L6-v2", tokenizer=words_of_pairs(tmp_path / "words.json"), max_tokens=64
    )
    student = open_student(settings, "cpu", 1)
    teacher = open_encoder("all-MiniLM-L6-v2", device="cpu")
    english, czech = zip(*PAIRS, strict=True)

    def accuracy(first: Matrix, second: Matrix) -> float:
        return sum(translation_accuracy(first, second)) / 2

    def encode(texts: Sequence[str]) -> Matrix:
        return unit_rows(student.encode(list(texts), show_progress_bar=False))

    assert accuracy(encode(english), encode(czech)) > 0.7
    assert accuracy(teacher.encode(english), teacher.encode(czech)) < 0.5
