"""Intervals and tests have the values that the definitions give by hand."""

from __future__ import annotations

import pytest

from eval.ranking.churn import churn, overlap, rank_biased_overlap
from eval.ranking.statistics import bootstrap, holm, paired


def test_the_interval_of_equal_values_is_a_point() -> None:
    found = bootstrap([0.25] * 9)
    assert (found.mean, found.low, found.high) == (0.25, 0.25, 0.25)


def test_the_interval_of_two_values_spans_them() -> None:
    # of resamples of {0, 1}, a quarter is (0, 0) and a quarter (1, 1)
    found = bootstrap([0.0, 1.0])
    assert (found.mean, found.low, found.high) == (0.5, 0.0, 1.0)


def test_the_interval_is_about_two_standard_errors_wide() -> None:
    values = [row / 99 for row in range(100)]  # sd 0.293, standard error 0.0293
    found = bootstrap(values)
    assert found.high - found.low == pytest.approx(2 * 1.96 * 0.0293, rel=0.05)


def test_the_same_values_give_the_same_interval() -> None:
    assert bootstrap([0.1, 0.5, 0.7]) == bootstrap([0.1, 0.5, 0.7])


def test_no_difference_is_no_evidence() -> None:
    found = paired([0.2, 0.4], [0.2, 0.4])
    assert (found.p_randomisation, found.p_t, found.effect) == (1.0, 1.0, 0.0)
    assert (found.wins, found.ties, found.losses) == (0, 2, 0)


def test_the_randomisation_test_is_exact_for_few_queries() -> None:
    # five gains: of 32 sign patterns, all + and all - are as far from 0
    found = paired([0.0] * 5, [0.1, 0.2, 0.3, 0.4, 0.5])
    assert found.p_randomisation == pytest.approx(2 / 32)
    # gains 1 and 2, loss 3, in 8 patterns of +-1 +-2 +-3: a sum of 0 is never beaten
    assert paired([0, 0, 3], [1, 2, 0]).p_randomisation == 1.0


def test_queries_that_tie_do_not_change_the_randomisation_test() -> None:
    moved = paired([0.0] * 5, [0.1, 0.2, 0.3, 0.4, 0.5])
    with_ties = paired([0.0] * 8, [0.1, 0.2, 0.3, 0.4, 0.5, 0, 0, 0])
    assert with_ties.p_randomisation == moved.p_randomisation


def test_the_t_test_and_the_effect_size_by_hand() -> None:
    # differences 1, 2, 3: mean 2, sd 1, t = 2 sqrt(3) on 2 degrees of freedom
    found = paired([0, 0, 0], [1, 2, 3])
    assert found.effect == pytest.approx(2.0)
    # closed form for 2 degrees of freedom: p = 1 - t / sqrt(2 + t^2)
    assert found.p_t == pytest.approx(1 - 12**0.5 / 14**0.5)
    assert (found.wins, found.ties, found.losses) == (3, 0, 0)


def test_values_a_rounding_apart_tie() -> None:
    assert paired([0.1 + 0.2], [0.3]).ties == 1


def test_holm_steps_down_by_hand() -> None:
    # 0.01 x 3, 0.03 x 2, then 0.04 x 1 is lifted to what came before
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_overlap_is_of_the_longer_list() -> None:
    assert overlap(["a", "b", "c"], ["b", "a", "x"], 2) == 1.0
    assert overlap(["a", "b", "c"], ["b", "x", "y"], 3) == pytest.approx(1 / 3)
    assert overlap(["a"], ["a", "b"], 10) == 0.5
    assert (overlap([], [], 10), overlap([], ["a"], 10)) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("abc", "abc", 1.0),
        ("abc", "xyz", 0.0),
        # agreement 1, 1/2, 1: 0.729 + (0.1 / 0.9)(0.9 + 0.405 + 0.729)
        ("abc", "acb", 0.955),
        # a prefix of the other is extrapolated to full agreement
        ("a", "ab", 1.0),
        # overlap 0 at 1 and 1 at 2: (0.1 / 0.9)(0.5 * 0.81) + (1 / 2) 0.81
        ("b", "ab", 0.45),
        ("", "", 1.0),
        ("", "a", 0.0),
    ],
)
def test_rank_biased_overlap_by_hand(first: str, second: str, expected: float) -> None:
    assert rank_biased_overlap(first, second) == pytest.approx(expected)
    assert rank_biased_overlap(second, first) == pytest.approx(expected)


def test_churn_lists_the_most_changed_query_first() -> None:
    first = {"1": [("a", 2.0), ("b", 1.0)], "2": [("a", 1.0)]}
    second = {"1": [("a", 2.0), ("b", 1.0)], "2": [("z", 1.0)], "3": [("a", 1.0)]}
    changes = churn(first, second)
    assert [change.query_id for change in changes] == ["2", "3", "1"]
    assert changes[0].overlap == 0.0
    assert changes[2].rbo == pytest.approx(1.0)


def test_one_query_that_differs_proves_nothing() -> None:
    assert paired([0.5, 0.5, 0.5], [0.5, 0.5, 1.0]).p_randomisation == 1.0
