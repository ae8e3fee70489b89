"""Functions on matrices of vectors, against numpy's own in float64."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.vectors import product


@given(st.integers(0, 3000), st.integers(1, 20), st.integers(1, 300))
@settings(max_examples=30, deadline=None)
def test_a_product_in_blocks_is_the_product(rows: int, few: int, dim: int) -> None:
    rng = np.random.default_rng(rows + few)
    left = rng.normal(size=(rows, dim)).astype(np.float32)
    right = rng.normal(size=(dim, few)).astype(np.float32)
    wanted = left.astype(np.float64) @ right
    np.testing.assert_allclose(product(left, right), wanted, atol=1e-3)
    out = np.empty((rows, few), np.float32)
    assert product(left, right, out) is out
