"""Whitening a static student at export: the formula by hand, and a run's own student evened out."""

from __future__ import annotations

import numpy as np

from indexer.vectors import unit_rows
from training.export.whitening import whitened

# Four unit vectors on x for one on y: C = diag(4/5, 1/5).
VECTORS = np.array([[1, 0], [-1, 0], [1, 0], [1, 0], [0, 1]], np.float32)
TABLE = np.array([[2, 0], [0, 3], [1, 1]], np.float32)


def test_each_direction_is_divided_by_its_spread() -> None:
    # power 1: x times (4/5) ** -1/2 = 1.118034, y times (1/5) ** -1/2 = 2.236068
    expected = [[2.236068, 0], [0, 6.708204], [1.118034, 2.236068]]
    np.testing.assert_allclose(whitened(TABLE, VECTORS, 1.0), expected, rtol=1e-6)
    # power 1/2: (4/5) ** -1/4 = 1.057371, (1/5) ** -1/4 = 1.495349
    np.testing.assert_allclose(whitened(TABLE, VECTORS, 0.5)[2], [1.057371, 1.495349], rtol=1e-6)


def test_power_0_changes_nothing() -> None:
    np.testing.assert_allclose(whitened(TABLE, VECTORS, 0.0), TABLE, atol=1e-6)


def test_a_direction_that_nothing_has_stays_finite() -> None:
    flat = np.array([[1, 0], [-1, 0]], np.float32)
    assert np.isfinite(whitened(TABLE, flat, 1.0)).all()


def test_what_says_nothing_of_a_text_counts_less() -> None:
    """Texts and their translations share eight directions; the widest one differs by chance."""
    rng = np.random.default_rng(0)
    own = rng.normal(size=(200, 8))
    texts, translations = (
        np.hstack([rng.normal(0, 8, (200, 1)), own + rng.normal(0, 0.3, own.shape)]).astype("f4")
        for _ in range(2)
    )
    vectors = unit_rows(texts)

    def found(power: float) -> float:
        queries, answers = (
            unit_rows(whitened(side, vectors, power)) for side in (texts, translations)
        )
        return float(((queries @ answers.T).argmax(axis=1) == np.arange(200)).mean())

    assert found(0.0) < found(0.5) < found(1.0)
