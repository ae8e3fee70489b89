"""Learned fusion: features and probabilities by hand, shares that add up, and scores that no pool changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.build import build_index
from indexer.encoders.hash_encoder import HashEncoder
from indexer.schema import Document
from indexer.search.lexical import K1
from retriever.fusion import Fused
from retriever.learned_fusion import FEATURES, WEIGHTS, Probability, Weights, features, learned
from retriever.retriever import Retriever

NAMES = list(FEATURES)


def column(rows: np.ndarray, name: str) -> list[float]:
    return [float(value) for value in rows[:, NAMES.index(name)]]


def test_features_by_hand() -> None:
    # BM25 of at most 10; a passage that holds each word once has 10 / (k1 + 1)
    once = 10 / (K1 + 1)
    rows = features(
        np.array([0.8, 0.5]), np.array([once / 2, once]), (0.0, 10.0), np.array([False, True])
    )
    assert column(rows, "cosine") == [0.8, 0.5]
    assert column(rows, "behind") == pytest.approx([0.0, -0.3])
    assert column(rows, "words") == pytest.approx([0.5, 1.0])
    assert column(rows, "words_fourth") == pytest.approx([0.0625, 1.0])
    assert column(rows, "words_share") == pytest.approx([0.5, 1.0])
    assert column(rows, "same") == [0.0, 1.0]
    assert column(rows, "same_cosine") == [0.0, 0.5]
    assert column(rows, "aligned") == [0.0, 0.0]


def test_a_query_without_known_words_has_no_words() -> None:
    rows = features(np.array([0.4]), np.array([0.0]), (0.0, 0.0), np.array([True]))
    assert column(rows, "words") == column(rows, "words_share") == [0.0]


def test_a_probability_by_hand() -> None:
    weights = Weights(-1.0, [2.0 if name in ("cosine", "words") else 0.0 for name in NAMES])
    rows = features(np.array([0.5]), np.array([5 / (K1 + 1)]), (0.0, 10.0), np.array([True]))
    found = learned(rows, weights)  # log-odds -1 + 2 x 0.5 + 2 x 0.5 = 1
    evidence = 1 / (1 + np.exp(-1))
    words = 0.6 * 0.5**4
    assert found.score.tolist() == pytest.approx([1 - (1 - evidence) * (1 - words)])
    assert found.parts["dense"] == pytest.approx(evidence / 2)
    assert found.parts["lexical"] == pytest.approx(found.score - evidence / 2)
    assert found.parts["alignment"].tolist() == [0.0]


@given(
    st.lists(st.tuples(st.floats(-1, 1), st.floats(0, 30), st.booleans()), min_size=1, max_size=20),
    st.sampled_from(sorted(WEIGHTS)),
)
def test_scores_are_probabilities_and_shares_add_up(
    drawn: list[tuple[float, float, bool]], encoder: str
) -> None:
    dense, lexical, same = (np.array(values) for values in zip(*drawn, strict=True))
    found = learned(features(dense, lexical, (0.0, 30.0), same), WEIGHTS[encoder])
    assert ((found.score >= 0) & (found.score <= 1)).all()
    assert sum(found.parts.values()) == pytest.approx(found.score)
    assert all((part >= 0).all() for part in found.parts.values())


def test_a_passage_below_the_best_changes_no_score() -> None:
    dense, lexical = np.array([0.7, 0.3]), np.array([8.0, 2.0])
    same = np.array([True, False])
    alone = learned(features(dense, lexical, (0.0, 20.0), same), WEIGHTS["accurate"]).score
    more = learned(
        features(np.r_[dense, 0.1], np.r_[lexical, 0.0], (0.0, 20.0), np.r_[same, True]),
        WEIGHTS["accurate"],
    ).score
    assert more[:2].tolist() == alone.tolist()


@pytest.mark.parametrize("encoder", sorted(WEIGHTS))
def test_a_passage_with_every_word_of_the_query_is_probable_whatever_else(encoder: str) -> None:
    dense, lexical = np.array([0.3, 0.0, 0.3]), np.array([0.0, 30 / (K1 + 1), 15 / (K1 + 1)])
    rows = features(dense, lexical, (0.0, 30.0), np.array([False, True, True]))
    score = learned(rows, WEIGHTS[encoder]).score
    assert score[1] > 0.6 > score[2]


@pytest.mark.parametrize("encoder", WEIGHTS)
@given(st.floats(0.2, 0.9), st.floats(0.0, 0.3), st.floats(0.3, 1.0))
def test_a_passage_with_all_words_is_not_below_a_farther_one_elsewhere(
    encoder: str, cosine: float, nearer: float, aligned: float
) -> None:
    """As for a query of one word: what holds it, in its language, and is nearer in every signal, comes first."""
    found = features(
        np.array([cosine + nearer, cosine]),
        np.array([9.0, 0.0]),
        (0.0, 9.0),
        np.array([True, False]),
        np.array([1.0, aligned]),
    )
    here, elsewhere = learned(found, WEIGHTS[encoder]).score
    assert here >= elsewhere


def test_a_passage_with_a_little_of_a_query_is_not_the_best_there_could_be() -> None:
    once = 10 / (K1 + 1)
    little = features(np.array([0.4, 0.4]), np.array([0.06, 0.03]) * once, (0.0, 10.0), np.zeros(2, bool))  # fmt: skip
    assert column(little, "words_share") == pytest.approx([0.2, 0.1])
    much = features(np.array([0.4, 0.4]), np.array([0.6, 0.3]) * once, (0.0, 10.0), np.zeros(2, bool))  # fmt: skip
    assert column(much, "words_share") == pytest.approx([1.0, 0.5])


def test_an_encoder_without_weights_is_fused_by_evidence_where_a_query_crosses(
    tmp_path: Path,
) -> None:
    documents = [Document(f"en{n}", f"word{n} hospital number{n}", lang="en") for n in range(9)]
    documents += [Document("cs", "nemocnice v Praze číslo", lang="cs")]
    build_index(tmp_path / "ix", documents, HashEncoder(32))
    retriever = Retriever.open(tmp_path / "ix")
    collection = retriever.collection

    def method(query: str) -> type:
        prepared = collection.queries([query])[0]
        pool = collection.pools([prepared], 10, ("dense", "lexical"))[0]
        return type(retriever._fused(collection, prepared, pool, "hybrid"))

    assert method("v které nemocnici je volno") is Probability  # nine of ten are English
    assert method("which hospital has the number of my bed") is Fused
    assert method("melyik kórházban van szabad ágy") is Probability  # in a language of none
    assert retriever.floor() == 0.0
