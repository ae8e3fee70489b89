"""Fusion, with numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from retriever.fusion import Fused, combmnz, convex, minmax, rrf, scaled, zscore


def a(*values: float) -> NDArray[np.float64]:
    return np.array(values, np.float64)


def test_scaled_goes_by_the_bounds_and_keeps_the_order_below_them() -> None:
    found = scaled(a(0.2, 0.6, 1.0, 1.2, 0.1, -0.2), 0.2, 1.0)
    assert found == pytest.approx([0.0, 0.5, 1.0, 1.0, -0.125, -0.5])


def test_scaled_without_room_between_the_bounds_is_nothing() -> None:
    assert scaled(a(1.0, 2.0), 3.0, 3.0).tolist() == [0.0, 0.0]


def test_convex_adds_the_two_sides_by_their_weights() -> None:
    # dense (0.6 - 0.2) / (1 - 0.2) = 0.5, times 0.6; lexical (5 / 10) squared = 0.25, times 0.4
    fused = convex(a(0.6), a(5.0), (0.2, 1.0), (0.0, 10.0), 0.4, a(1.0), 0.3)
    assert fused.dense == pytest.approx([0.3])
    assert fused.lexical == pytest.approx([0.1])
    assert fused.score == pytest.approx([0.4])


def test_convex_lets_words_count_less_across_languages() -> None:
    # same language, surely another, half sure: gates 1, 0.3 and 0.3 + 0.7 / 2 = 0.65
    fused = convex(a(0, 0, 0), a(10, 10, 10), (0, 1), (0, 10), 0.4, a(1.0, 0.0, 0.5), 0.3)
    assert fused.lexical == pytest.approx([0.4, 0.12, 0.26])


def test_convex_keeps_a_cross_language_answer_above_same_language_noise() -> None:
    # The answer: cosine 0.8, no word shared. Noise: cosine 0.35, a third of the query's idf mass.
    fused = convex(a(0.8, 0.35), a(0.0, 4.0), (0.1, 1.0), (0.0, 12.0), 0.4, a(0.0, 1.0), 0.3)
    # 0.6 x 0.7 / 0.9 = 0.467 against 0.6 x 0.25 / 0.9 + 0.4 / 9 = 0.211
    assert fused.score == pytest.approx([0.46667, 0.21111], abs=1e-4)


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
    results = [
        convex(none, none, (0, 1), (0, 1), 0.4, none, 0.3), rrf(none, none),
        minmax(none, none, 0.4), zscore(none, none, 0.4), combmnz(none, none, 0.4),
    ]  # fmt: skip
    assert [len(fused.score) for fused in results] == [0] * 5


scores = st.lists(
    st.tuples(st.floats(-1, 1), st.floats(0, 50), st.floats(0, 1)), min_size=1, max_size=20
)


@given(scores, st.floats(0, 1), st.floats(0, 1))
def test_convex_never_exceeds_1_and_is_the_sum_of_its_shares(
    rows: list[tuple[float, float, float]], weight: float, cross: float
) -> None:
    dense, lexical, same = (np.array(column) for column in zip(*rows, strict=True))
    fused = convex(dense, lexical, (0.1, 1.0), (0.0, 40.0), weight, same, cross)
    assert isinstance(fused, Fused)
    assert (fused.lexical >= 0).all()
    assert (fused.score <= 1 + 1e-9).all()
    assert fused.score == pytest.approx(fused.dense + fused.lexical)


@given(scores, st.floats(0, 1))
def test_a_convex_score_does_not_depend_on_what_else_was_found(
    rows: list[tuple[float, float, float]], weight: float
) -> None:
    dense, lexical, same = (np.array(column) for column in zip(*rows, strict=True))
    bounds = (0.1, 1.0), (0.0, 40.0)
    together = convex(dense, lexical, *bounds, weight, same, 0.3).score
    alone = convex(dense[:1], lexical[:1], *bounds, weight, same[:1], 0.3).score
    assert together[0] == alone[0]
