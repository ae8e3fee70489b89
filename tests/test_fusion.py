"""Fusion, with numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from retriever.fusion import (
    Fused,
    across,
    combmnz,
    convex,
    interleave,
    minmax,
    rrf,
    scaled,
    zscore,
)


def a(*values: float) -> NDArray[np.float64]:
    return np.array(values, np.float64)


def test_scaled_goes_by_the_bounds_and_keeps_the_order_below_them() -> None:
    found = scaled(a(0.2, 0.6, 1.0, 1.2, 0.1, -0.2), 0.2, 1.0)
    assert found == pytest.approx([0.0, 0.5, 1.0, 1.0, -0.125, -0.5])


def test_scaled_without_room_between_the_bounds_is_nothing() -> None:
    assert scaled(a(1.0, 2.0), 3.0, 3.0).tolist() == [0.0, 0.0]


def test_convex_adds_the_two_sides_by_their_weights() -> None:
    # dense (0.6 - 0.2) / (1 - 0.2) = 0.5, times 0.6; lexical (4 / 16) ** 1.5 = 0.125, times 0.4
    fused = convex(a(0.6), a(4.0), (0.2, 1.0), (0.0, 16.0), 0.4)
    assert fused.dense == pytest.approx([0.3])
    assert fused.lexical == pytest.approx([0.05])
    assert fused.score == pytest.approx([0.35])


def test_between_languages_words_count_where_nearly_all_of_them_matched() -> None:
    # m = 2.2 x share of the bound: 0.22, 0.55, 1.1; 1 - exp(-m ** 2.25) = 0.0326, 0.2293, 0.7104
    worth = across(a(0.1, 0.1, 0.1), a(1.0, 2.5, 5.0), (0.0, 1.0), (0.0, 10.0))
    assert worth == pytest.approx([0.1, 0.2293, 0.7104], abs=1e-4)
    # without words it is meaning alone, below 0 too
    assert across(a(0.5, -0.2), a(0, 0), (0.0, 1.0), (0.0, 10.0)) == pytest.approx([0.5, -0.2])


def fused(*values: float) -> Fused:
    return Fused(a(*values), np.zeros(len(values)))


EN, CS = 0, 1
ALL = np.ones(4, np.bool_)


def langs(*codes: int) -> NDArray[np.int64]:
    return np.array(codes, np.int64)


def test_words_order_a_language_and_meaning_puts_the_languages_together() -> None:
    # In English the second passage is better by both sides, so it has the English 0.6 and not 0.4.
    between = a(0.6, 0.4, 0.5, 0.3)
    placed = interleave(fused(0.1, 0.9, 0.1, 0.2), between, langs(EN, EN, CS, CS), ALL)
    assert placed.score == pytest.approx([0.4, 0.6, 0.3, 0.5])


def test_a_language_that_shares_no_word_with_the_query_keeps_its_places() -> None:
    # Noise in the query's language (EN) has words; the answer (CS) has none and stays first.
    placed = interleave(
        fused(0.8, 0.7, 0.2, 0.1), a(0.2, 0.3, 0.9, 0.1), langs(EN, EN, CS, CS), ALL
    )
    assert placed.score == pytest.approx([0.3, 0.2, 0.9, 0.1])


def test_equals_get_the_same_place_the_highest_of_theirs() -> None:
    placed = interleave(
        fused(0.5, 0.5, 0.2, 0.5), a(0.9, 0.7, 0.8, 0.4), langs(EN, EN, EN, CS), ALL
    )
    assert placed.score == pytest.approx([0.9, 0.9, 0.7, 0.4])


def test_what_was_not_offered_has_its_own_score_or_that_of_its_place() -> None:
    offered = np.array([True, True, False, False, False, False])
    within = fused(0.2, 0.6, 0.4, 0.4, 0.9, 0.5)
    between = a(0.3, 0.7, 0.9, 0.1, 0.9, 0.25)
    placed = interleave(within, between, langs(EN, EN, EN, EN, EN, CS), offered)
    # half way from 0.2 to 0.6 is worth 0.5; above the highest 0.7; of CS nothing was offered
    assert placed.score == pytest.approx([0.3, 0.7, 0.5, 0.1, 0.7, 0.25])


def test_the_shares_are_in_the_proportion_of_the_parts() -> None:
    placed = interleave(Fused(a(0.1, -0.2), a(0.3, 0.0)), a(0.8, 0.4), langs(EN, CS), ALL[:2])
    assert placed.dense == pytest.approx([0.2, 0.4])
    assert placed.lexical == pytest.approx([0.6, 0.0])


def test_rrf_goes_by_ranks_and_a_side_that_did_not_find_it_gives_nothing() -> None:
    fused = rrf(a(1, 2, np.inf), a(np.inf, 1, 3), 60)
    assert fused.dense == pytest.approx([1 / 61, 1 / 62, 0.0])
    assert fused.lexical == pytest.approx([0.0, 1 / 61, 1 / 63])
    assert fused.score.argmax() == 1


def test_minmax_scales_each_list_by_its_own_ends() -> None:
    fused = minmax(a(0.2, 0.4, 0.6), a(0.0, 8.0, 2.0), 0.25)
    assert fused.dense == pytest.approx([0.0, 0.375, 0.75])
    assert fused.lexical == pytest.approx([0.0, 0.25, 0.0625])


def test_zscore_counts_standard_deviations() -> None:
    # mean 2, deviation sqrt(2 / 3); mean 0, deviation 0: no side to tell them apart
    fused = zscore(a(1.0, 2.0, 3.0), a(5.0, 5.0, 5.0), 0.5)
    assert fused.dense == pytest.approx([-0.5 * 1.5**0.5, 0.0, 0.5 * 1.5**0.5])
    assert fused.lexical.tolist() == [0.0, 0.0, 0.0]


def test_combmnz_doubles_what_both_sides_found() -> None:
    # minmax halves: dense 0, 0.5, 0.25 and lexical 0.5, 0.25, 0; sides with a share: 1, 2, 1
    fused = combmnz(a(0.0, 1.0, 0.5), a(4.0, 2.0, 0.0), 0.5)
    assert fused.score == pytest.approx([0.5, 1.5, 0.25])


def test_a_list_of_equal_scores_or_of_one_makes_no_nan() -> None:
    for fused in (
        minmax(a(1.0), a(2.0), 0.5),
        zscore(a(1, 1), a(2, 2), 0.5),
        combmnz(a(1), a(0), 0.5),
    ):
        assert np.isfinite(fused.score).all()


def test_nothing_fuses_to_nothing() -> None:
    none = a()
    within, no = convex(none, none, (0, 1), (0, 1), 0.4), np.zeros(0, np.int64)
    placed = interleave(within, across(none, none, (0, 1), (0, 1)), no, no.astype(np.bool_))
    results = [
        within, placed, rrf(none, none),
        minmax(none, none, 0.4), zscore(none, none, 0.4), combmnz(none, none, 0.4),
    ]  # fmt: skip
    assert [len(fused.score) for fused in results] == [0] * 6


scores = st.lists(
    st.tuples(st.floats(-1, 1), st.floats(0, 40), st.integers(0, 3), st.booleans()),
    min_size=1,
    max_size=20,
)
Rows = list[tuple[float, float, int, bool]]
BOUNDS = (0.1, 1.0), (0.0, 40.0)


def both(rows: Rows, weight: float) -> tuple[Fused, Fused, NDArray[np.float64]]:
    """(convex, interleave, what is compared between languages) of drawn rows."""
    dense, lexical, spoken, offered = (np.array(column) for column in zip(*rows, strict=True))
    within = convex(dense, lexical, *BOUNDS, weight)
    between = across(dense, lexical, *BOUNDS)
    return within, interleave(within, between, spoken.astype(np.int64), offered), between


@given(scores, st.floats(0, 1))
def test_no_score_exceeds_1_and_each_is_the_sum_of_its_shares(rows: Rows, weight: float) -> None:
    for fused in both(rows, weight)[:2]:
        assert isinstance(fused, Fused)
        assert (fused.score <= 1 + 1e-9).all()
        assert fused.score == pytest.approx(fused.dense + fused.lexical)


@given(scores, st.floats(0, 1))
def test_interleaving_keeps_the_order_inside_each_language(rows: Rows, weight: float) -> None:
    within, placed, _ = both(rows, weight)
    spoken, offered = (np.array([row[column] for row in rows]) for column in (2, 3))
    for language in set(spoken.tolist()):
        mine = (spoken == language) & offered
        order = np.argsort(within.score[mine], kind="stable")
        assert (np.diff(placed.score[mine][order]) >= -1e-9).all()


@given(scores, st.floats(0, 1))
def test_interleaving_gives_each_language_the_places_it_had(rows: Rows, weight: float) -> None:
    rows = [(*row[:3], True) for row in dict.fromkeys(rows)]
    within, placed, between = both(rows, weight)
    spoken = np.array([row[2] for row in rows])
    for language in set(spoken.tolist()):
        mine = spoken == language
        if len(set(within.score[mine].tolist())) == mine.sum():  # no equals
            assert sorted(placed.score[mine]) == pytest.approx(sorted(between[mine]))


@given(scores, st.floats(0, 1))
def test_a_convex_score_does_not_depend_on_what_else_was_found(rows: Rows, weight: float) -> None:
    dense, lexical, _, _ = (np.array(column) for column in zip(*rows, strict=True))
    together = convex(dense, lexical, *BOUNDS, weight).score
    assert together[0] == convex(dense[:1], lexical[:1], *BOUNDS, weight).score[0]


@given(scores, scores, st.floats(0, 1))
def test_what_was_not_offered_changes_no_other_score(rows: Rows, more: Rows, weight: float) -> None:
    rest = [(*row[:3], False) for row in more]
    alone, together = both(rows, weight)[1], both([*rows, *rest], weight)[1]
    assert together.score[: len(rows)] == pytest.approx(alone.score, abs=1e-12)
