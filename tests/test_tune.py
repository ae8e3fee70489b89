"""Tuning chooses from tables, is judged on queries it did not see, and does not call chance a win."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from configs.errors import DocumentError
from configs.settings import FusionSettings, SearchSettings
from eval.ranking.remembered_pools import RememberedPools
from eval.ranking.tuning import Candidate, Method, candidates, choose, folds_of, settings_of, tune
from indexer.build import build_index
from indexer.encoders.hash_encoder import HashEncoder
from indexer.schema import Document
from retriever.retriever import Retriever

LOW = Candidate("interleave", 0.2, 60)
HIGH = Candidate("interleave", 0.8, 60)


def test_the_grid_begins_with_the_current_settings_and_repeats_nothing() -> None:
    current = FusionSettings(lexical_weight=0.37)
    grid = candidates(current, crossing=True)
    assert settings_of(grid[0]) == current
    assert len(set(grid)) == len(grid)
    others = {"learned", "interleave", "rrf", "minmax", "zscore", "combmnz"}
    assert {entry.method for entry in grid} == {"convex", *others}
    # one language: nothing to put together, so interleave and convex are one order
    assert {entry.method for entry in candidates(current, crossing=False)} == others


def test_folds_hold_every_query_once_and_spread_the_languages() -> None:
    languages = {f"{lang}{n}": lang for lang in ("cs", "en") for n in range(10)}
    folds = folds_of(languages)
    assert sorted(query for fold in folds for query in fold) == sorted(languages)
    assert [sorted(languages[query] for query in fold) for fold in folds] == [
        ["cs", "cs", "en", "en"]
    ] * 5
    assert folds_of(languages) == folds
    assert folds_of(languages, seed=1) != folds


def test_pools_that_are_remembered_give_the_same_rankings(tmp_path: Path) -> None:
    texts = ("bread from flour", "an engine and its fuel", "bread and fuel")
    documents = [Document(f"d{n}", text, "", "", "en") for n, text in enumerate(texts)]
    build_index(tmp_path / "index", documents, HashEncoder(64))
    plain = Retriever.open(tmp_path / "index")
    kept = Retriever(RememberedPools(plain.collection))
    queries = ["bread", "fuel", "bread"]
    methods: tuple[Method, ...] = ("interleave", "minmax", "rrf", "interleave")
    for method in methods:
        settings = SearchSettings(fusion=FusionSettings(method=method))
        ours, theirs = kept.with_settings(settings), plain.with_settings(settings)
        assert ours.rank(queries, 3) == theirs.rank(queries, 3)
        assert (
            ours.score("fuel", ["d0", "d1"]).tolist() == theirs.score("fuel", ["d0", "d1"]).tolist()
        )
    assert list(kept.collection.document_ids()) == ["d0", "d1", "d2"]


def test_too_few_queries_are_refused() -> None:
    with pytest.raises(DocumentError, match="3 judged queries are too few for 5 folds"):
        folds_of({"1": "", "2": "", "3": ""})


def test_the_highest_mean_is_chosen_and_the_first_of_equals() -> None:
    languages = dict.fromkeys("ab", "en")
    table = {LOW: {"a": 0.2, "b": 0.4}, HIGH: {"a": 0.9, "b": 0.0}}
    assert choose(table, ["a", "b"], languages).common == HIGH
    table[LOW] = {"a": 0.4, "b": 0.5}
    assert choose(table, ["a", "b"], languages).common == LOW


def test_a_language_gets_its_own_weight_only_where_the_gain_is_twice_its_error() -> None:
    languages = {f"cs{n}": "cs" for n in range(20)} | {f"en{n}": "en" for n in range(30)}
    low = {query: 0.2 if query.startswith("en") else 0.6 for query in languages}
    high = {query: 0.9 if query.startswith("en") else 0.5 for query in languages}
    choice = choose({LOW: low, HIGH: high}, list(languages), languages)
    assert (choice.common, choice.languages) == (HIGH, {"cs": LOW})
    assert choice.settings().language_weights == {"cs": 0.2}
    assert choice.settings().lexical_weight == 0.8
    assert choice.value({LOW: low, HIGH: high}, "cs3", "cs") == 0.6
    # one query of twenty gains: the mean is one standard error, and two are asked for
    low |= {f"cs{n}": 0.5 for n in range(20)} | {"cs0": 0.6}
    assert choose({LOW: low, HIGH: high}, list(languages), languages).languages == {}


def test_a_real_gain_is_a_win() -> None:
    draw = random.Random(1)
    queries = {f"q{n}": "en" for n in range(60)}
    base = {query: draw.random() * 0.5 for query in queries}
    better = {query: value + 0.1 for query, value in base.items()}
    tuned = tune({LOW: base, HIGH: better}, {"current": base, "dense": base}, queries)
    assert tuned.is_win
    assert tuned.choice.common == HIGH
    assert tuned.against["current"].difference.mean == pytest.approx(0.1)
    assert tuned.held_out == pytest.approx(better)


def test_noise_is_no_win() -> None:
    draw = random.Random(2)
    queries = {f"q{n}": "en" for n in range(40)}
    base = {query: draw.random() for query in queries}
    table = {LOW: base}
    for weight in range(3, 10):
        entry = Candidate("interleave", weight / 10, 60)
        table[entry] = {query: draw.random() for query in queries}
    tuned = tune(table, {"current": base}, queries)
    assert not tuned.is_win


def test_below_one_side_alone_is_no_win() -> None:
    queries = {f"q{n}": "en" for n in range(20)}
    base = dict.fromkeys(queries, 0.3)
    better = dict.fromkeys(queries, 0.4)
    dense = dict.fromkeys(queries, 0.5)
    gates = {"current": base, "lexical": base, "dense": dense}
    tuned = tune({LOW: base, HIGH: better}, gates, queries)
    assert tuned.against["current"].difference.low > 0
    assert tuned.failed == ["dense"]
    assert not tuned.is_win
