"""A static student's space evened out: its commonest directions count less in every cosine.

The vectors of sentences share a few strong directions (topic, register, length); a cosine is mostly
about those. Partial whitening makes each direction's spread its spread ** (1 - power).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from configs.settings import parse
from configs.training_corpora import CorporaSettings
from indexer.schema import Matrix
from training.data.corpora import Talk, read_pairs

__all__ = ["sampled_texts", "whitened"]


def whitened(table: NDArray[np.float32], vectors: Matrix, power: float) -> NDArray[np.float32]:
    """`table` (tokens, dim) times C ** (-power / 2), C = the mean of v v^T over `vectors` (n, dim).

    A text's vector is a sum of rows, so what is done to the rows is done to every text. Power 1 is the
    whitening of Su et al. (2021, "Whitening Sentence Representations") and Huang et al. (2021,
    "WhiteningBERT"), without their centring, which a sum of rows cannot hold; a power between is Caron's
    (2001; Bullinaria and Levy 2012), 0 nothing. C is not centred, for a cosine is not. Directions
    narrower than a millionth of the widest are taken for that wide: they hold rounding and no meaning.

    The student that ships, float32, lengths to the power 0.85, by power 0 / 0.2 / 0.4 / 0.5: Tatoeba
    73.9 / 74.3 / 74.3 / 74.1, newstest 84.2 / 85.3 / 85.4 / 85.2, NTREX-128 79.3 / 80.6 / 81.0 / 80.8,
    STS 74.2 / 74.5 / 74.6 / 74.6, Costra 47.6 / 47.5 / 47.5 / 47.4; nDCG@10 of the demo 42.0 / 43.6 /
    44.5 / 43.9, Cranfield 40.1 / 40.8 / 41.8 / 41.7, CACM 32.1 / 34.8 / 35.9 / 36.8. Whitening first
    and the lengths after is as good. Dividing by what translations differ in (within-class covariance
    normalisation, Hatch et al. 2006) was no better than this.
    """
    wide = vectors.astype(np.float64)
    spread, axes = np.linalg.eigh(wide.T @ wide / len(wide))  # (dim,), (dim, dim) columns
    spread = np.maximum(spread, spread[-1] * 1e-6)
    turn = (axes * spread ** (-power / 2)) @ axes.T
    return np.asarray(table @ turn, dtype=np.float32)


def sampled_texts(
    facts: Mapping[str, Any], pairs: int = 20_000, talk: Talk | None = None
) -> list[str]:
    """Both sides of `pairs` pairs of the corpora a run was trained on (run.json), drawn as it drew them.

    Raises what `read_pairs` raises: the corpora must still be where the run found them.
    """
    settings = facts["settings"]
    corpora = parse(CorporaSettings, settings["corpora"], "run.json")
    read = read_pairs(corpora, seed=settings["seed"], talk=talk)
    rows = read.draw(min(pairs, len(read)), settings["seed"], 0)
    return [side[row] for side in (read.sources, read.targets) for row in rows]
