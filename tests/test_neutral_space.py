"""The language-neutral space: worked out by hand, and what it does for an encoder that tells languages apart."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import pytest

from indexer.encoders.hash_encoder import HashEncoder
from indexer.encoders.neutral_space import (
    NeutralSpace,
    choose_count,
    estimate,
    parallel_sentences,
)
from indexer.schema import Kind, Matrix
from indexer.vectors import unit_rows

SIDES = parallel_sentences()
PLACES = {text: (lang, i) for lang, side in SIDES.items() for i, text in enumerate(side)}


class Biased:
    """Knows the parallel sentences: a direction for the meaning, and a stronger one for the language."""

    name, dim, max_tokens = "biased", 128, None
    fingerprint = "biased-1"

    def __init__(self, bias: float) -> None:
        self.bias = bias

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def encode(self, texts: Sequence[str], kind: Kind = "passage") -> Matrix:
        rows = []
        for text in texts:
            lang, number = PLACES[text]
            own = np.random.default_rng(zlib.crc32(text.encode())).normal(size=self.dim) * 0.05
            said = np.random.default_rng(number).normal(size=self.dim) / self.dim**0.5
            spoken = np.random.default_rng(zlib.crc32(lang.encode())).integers(0, 6)
            group = np.eye(self.dim)[spoken] * self.bias  # languages look like one of six
            rows.append(said + own + group)
        return unit_rows(np.array(rows))


def test_the_sentences_are_parallel_in_many_languages() -> None:
    assert len(SIDES) >= 40
    assert {len(side) for side in SIDES.values()} == {50}
    assert all(text.strip() == text and text for side in SIDES.values() for text in side)
    assert all(len(set(side)) == 50 for side in SIDES.values())


def test_a_projection_by_hand() -> None:
    # queries are moved by (1, 0, 0), passages by nothing; the second direction is taken out
    means = np.array([[1, 0, 0], [0, 0, 0]], np.float32)
    space = NeutralSpace(means, np.array([[0, 1, 0]], np.float32))
    vectors = np.array([[1, 5, 2], [3, 4, 0], [0, 0, 0]], np.float32)
    assert space.project(vectors, "query").tolist() == [[0, 0, 1], [1, 0, 0], [0, 0, 0]]
    found = space.project(np.array([[3, 4, 4]], np.float32), "passage")
    assert found[0].tolist() == pytest.approx([0.6, 0, 0.8])


def test_an_encoder_that_tells_languages_apart_finds_translations_without_them() -> None:
    encoder = Biased(2.0)
    space = estimate(encoder)
    assert space is not None
    assert 5 <= len(space.directions) <= 15  # six groups, less their mean
    own = np.eye(len(space.directions), dtype=np.float32)
    assert np.abs(space.directions @ space.directions.T - own).max() < 1e-5
    english, czech = (encoder.encode(SIDES[lang]) for lang in ("en", "cs"))
    german = encoder.encode(SIDES["de"])

    def found(pool: Matrix, queries: Matrix) -> float:
        return float((np.argmax(queries @ pool.T, axis=1) % 50 == np.arange(50)).mean())

    pool, queries = np.concatenate([czech, german]), english
    before = found(pool, queries)
    after = found(space.project(pool, "passage"), space.project(queries, "query"))
    assert after == 1.0
    assert before <= after


def test_an_encoder_without_bias_keeps_its_space() -> None:
    assert estimate(Biased(0.0)) is None
    some = {
        kind: np.stack([HashEncoder(64).encode(list(SIDES[lang])) for lang in ("en", "cs", "de")])
        for kind in ("query", "passage")
    }
    assert choose_count(some) == 0  # type: ignore[arg-type]
