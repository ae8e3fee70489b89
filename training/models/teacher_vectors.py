"""A teacher's vectors for a recipe: each sentence once, from the cache where it is known."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from indexer.schema import Matrix
from indexer.vectors import unit_rows
from training.models.opening import folder_of, open_model
from training.models.teacher_cache import BUNDLED, teacher_vectors
from training.run.progress import Talk

__all__ = ["narrowed", "principal_axes", "teach"]


def teach(
    texts: Sequence[str],
    teacher: str,
    cache: str | Path,
    device: torch.device,
    talk: Talk,
    precision: Literal["float32", "bfloat16"] = "float32",
) -> Matrix:
    """The teacher's vectors of `texts`, (n, dim) float32 unit rows, row for row.

    Raises BackendError when the teacher is neither here nor to be had.
    """
    folder = folder_of(teacher)
    bundled = folder is not None and not Path(teacher).is_dir()
    if not bundled:
        open_model(teacher)  # tells what is wrong in our own words, before the cache is touched
    each = list(dict.fromkeys(texts))
    rows = {text: i for i, text in enumerate(each)}
    began = time.monotonic()

    def progress(done: int, total: int) -> None:
        left = (time.monotonic() - began) / done * (total - done)
        talk.say(f"teacher: {done} of {total} sentences, {left:.0f} s left")

    vectors = teacher_vectors(
        each,
        Path(cache),
        teacher=BUNDLED if bundled else teacher,
        device=str(device),
        precision=precision,
        progress=progress,
    )
    return vectors[np.fromiter((rows[text] for text in texts), np.int64, len(texts))]


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


def narrowed(vectors: Matrix, axes: NDArray[np.float32]) -> Matrix:
    """(n, dim) vectors along `axes` (dim, width), of unit length again: (n, width)."""
    return unit_rows(vectors @ axes)
