"""A teacher's vectors for a recipe: each sentence once, from the cache where it is known."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from indexer.encoders.local_models import model_folder
from indexer.schema import Matrix
from training.models.opening import open_model
from training.models.teacher_cache import BUNDLED, teacher_vectors
from training.run.progress import Talk

__all__ = ["teach"]


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
    folder = model_folder(teacher)
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
