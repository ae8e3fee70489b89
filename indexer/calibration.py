"""The background of an encoder on a collection: the mean cosine of queries and passages that have nothing in common.

The first words of some passages stand for queries, other passages for what does not answer them; both from a
random sample that is the same for the same documents.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from indexer.schema import Encoder, Matrix
from indexer.storage.store import Store

__all__ = ["SAMPLE", "background", "background_of", "first_words"]

SAMPLE = 1000  # passages
_ASKED = 128  # of them, whose first words are queries
_WORDS = 8


def first_words(text: str, start: int) -> str:
    """What stands for a query: the first words of the passage that begins at `start`."""
    return " ".join(text[start : start + 200].split()[:_WORDS])[:60]


def background(
    queries: Sequence[str], documents: NDArray[np.int64], vectors: Matrix, encoder: Encoder
) -> float:
    """The mean cosine of queries and passages of other documents; 0 for fewer than two passages.

    (n,) documents and (n, dim) vectors of the sample; `queries` are the first words of its first passages.
    """
    if len(vectors) < 2:
        return 0.0
    asked = encoder.encode(list(queries[:_ASKED]), kind="query")
    products = asked @ vectors.T  # (asked, n)
    found = products[documents[: len(asked), None] != documents[None, :]]
    return round(max(0.0, float(found.mean())), 4) if len(found) else 0.0


def background_of(store: Store, encoder: Encoder) -> float:
    """`background` of the live passages of a store."""
    live = np.flatnonzero(~store.deleted)
    if len(live) < 2:
        return 0.0
    rows = np.random.default_rng(0).choice(live, min(SAMPLE, len(live)), replace=False)
    numbers = store.documents_of(rows)
    asked = numbers[:_ASKED].tolist()
    documents = store.documents(set(asked))
    starts = store.passages["start"][rows[:_ASKED]].tolist()
    queries = [
        first_words(documents[number].text, start)
        for number, start in zip(asked, starts, strict=True)
    ]
    return background(queries, numbers, store.take(rows), encoder)
