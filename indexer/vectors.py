"""Plain functions on matrices of vectors that more than one folder needs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from indexer.schema import Matrix

__all__ = ["translation_accuracy", "unit_rows"]


def unit_rows(vectors: NDArray[np.floating]) -> Matrix:
    """Rows scaled to unit length; a zero row stays zero. (n, dim) -> (n, dim) float32."""
    matrix = np.ascontiguousarray(vectors, dtype=np.float32)
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)  # (n, 1)
    out = np.zeros_like(matrix)
    np.divide(matrix, lengths, out=out, where=lengths > 0)
    return out


def translation_accuracy(source: Matrix, target: Matrix, block: int = 2048) -> tuple[float, float]:
    """Share of rows whose nearest row of the other side is their own translation, both ways.

    Row i of `source` (n, dim) and of `target` (n, dim) are translations; unit rows. The nearest is by
    cosine, ties go to the lower row (Reimers and Gurevych 2020, section 4.3: Tatoeba accuracy).
    Returns (source to target, target to source), each in [0, 1].
    """
    if source.shape != target.shape or not len(source):
        raise ValueError(
            f"two equal, non-empty shapes are needed, not {source.shape}, {target.shape}"
        )

    def one_way(queries: Matrix, pool: Matrix) -> float:
        right = 0
        for start in range(0, len(queries), block):
            nearest = np.argmax(queries[start : start + block] @ pool.T, axis=1)
            right += int((nearest == np.arange(start, start + len(nearest))).sum())
        return right / len(queries)

    return one_way(source, target), one_way(target, source)
