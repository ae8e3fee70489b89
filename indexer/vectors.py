"""Plain functions on matrices of vectors that more than one folder needs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from indexer.schema import Matrix

__all__ = ["along", "principal_axes", "product", "translation_accuracy", "unit_rows"]

_ONE_THREAD = 400_000
"""Multiplications up to which OpenBLAS (of numpy 2.4) keeps a product on one thread."""


def unit_rows(vectors: NDArray[np.floating]) -> Matrix:
    """Rows scaled to unit length; a zero row stays zero. (n, dim) -> (n, dim) float32."""
    matrix = np.ascontiguousarray(vectors, dtype=np.float32)
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)  # (n, 1)
    out = np.zeros_like(matrix)
    np.divide(matrix, lengths, out=out, where=lengths > 0)
    return out


def product(rows: Matrix, factors: NDArray[np.float32], out: Matrix | None = None) -> Matrix:
    """`rows` (n, dim) @ `factors` (dim, m), for a small m, in blocks that BLAS computes on one thread.

    OpenBLAS's threads spin while they wait for each other: a search of 100,000 passages took twice the CPU time with them,
    and was no faster.
    """
    out = np.empty((len(rows), factors.shape[1]), np.float32) if out is None else out
    step = max(16, _ONE_THREAD // max(1, factors.size))
    for start in range(0, len(rows), step):
        np.matmul(rows[start : start + step], factors, out=out[start : start + step])
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


def principal_axes(vectors: Matrix, width: int, sample: int = 100_000) -> NDArray[np.float32]:
    """The `width` axes, (dim, width), that keep most of the vectors' length; not centred.

    Not centred, because cosines are taken of the vectors as they are: of all projections to this
    width, this one changes their dot products least (Eckart and Young 1936).
    """
    rows = vectors[:: max(1, len(vectors) // sample)].astype(np.float64)
    _, axes = np.linalg.eigh(rows.T @ rows)  # eigenvalues rise
    best = axes[:, ::-1][:, :width]
    # a sign is free; the largest entry is made positive, so that it is the same everywhere
    signs = np.sign(best[np.abs(best).argmax(axis=0), np.arange(best.shape[1])])
    return np.ascontiguousarray(best * signs, dtype=np.float32)


def along(vectors: Matrix, axes: NDArray[np.float32]) -> Matrix:
    """(n, dim) vectors along `axes` (dim, width), of unit length again: (n, width)."""
    return unit_rows(vectors @ axes)
