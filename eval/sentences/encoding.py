"""Texts to vectors for the measures that need no index: each different text once, with progress."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from configs.progress import progress_over
from indexer.schema import Encoder, Kind, Matrix

__all__ = ["Remembering", "encoded"]

BLOCK = 512  # texts between two steps of the progress bar


def encoded(encoder: Encoder, texts: Sequence[str], label: str = "encoding") -> Matrix:
    """(n, dim) unit rows, in the order of `texts`; equal texts are encoded once.

    Both sides of a symmetric task (similarity, mining, probes) are encoded as queries: that is the
    prompt E5 asks for there, and models without prompts know no difference.
    """
    order: dict[str, int] = {}
    rows = [order.setdefault(text, len(order)) for text in texts]
    different = list(order)
    vectors = np.empty((len(different), encoder.dim), dtype=np.float32)
    # longest together: a transformer pads each batch to its longest text
    by_length = sorted(range(len(different)), key=lambda row: len(different[row]))
    starts = range(0, len(by_length), BLOCK)
    with progress_over(starts, label) as steps:
        for start in steps:
            block = by_length[start : start + BLOCK]
            vectors[block] = encoder.encode([different[row] for row in block], kind="query")
    return vectors[rows]


class Remembering:
    """An encoder that keeps what it has encoded: a text that comes again costs nothing.

    Satisfies `indexer.schema.Encoder`, with the name and fingerprint of the one inside: the vectors are
    the same. Holds every vector in memory; for sets of sentences, not for collections.
    """

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self._known: dict[tuple[str, Kind], Matrix] = {}

    @property
    def name(self) -> str:
        return self.encoder.name

    @property
    def dim(self) -> int:
        return self.encoder.dim

    @property
    def fingerprint(self) -> str:
        return self.encoder.fingerprint

    @property
    def max_tokens(self) -> int | None:
        return self.encoder.max_tokens

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return self.encoder.count_tokens(texts)

    def encode(self, texts: Sequence[str], kind: Kind = "passage") -> Matrix:
        new = [text for text in dict.fromkeys(texts) if (text, kind) not in self._known]
        if new:
            for text, vector in zip(new, self.encoder.encode(new, kind=kind), strict=True):
                self._known[text, kind] = vector
        found = [self._known[text, kind] for text in texts]
        return np.stack(found) if found else np.zeros((0, self.dim), dtype=np.float32)
