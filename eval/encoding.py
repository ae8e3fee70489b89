"""Texts to vectors for the measures that need no index: each different text once, with progress."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click
import numpy as np

from indexer.schema import Encoder, Matrix

__all__ = ["TextVectors", "encoded"]

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
    quiet = not sys.stderr.isatty()
    with click.progressbar(starts, label=label, file=sys.stderr, hidden=quiet) as bar:
        for start in bar:
            block = by_length[start : start + BLOCK]
            vectors[block] = encoder.encode([different[row] for row in block], kind="query")
    return vectors[rows]


class TextVectors:
    """Vectors by text, kept: a sentence that stands in several sets is encoded once."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self._rows: dict[str, int] = {}
        self._blocks: list[Matrix] = []
        self._all: Matrix | None = None

    def add(self, texts: Sequence[str], label: str = "encoding") -> None:
        """Encode those of `texts` that are new."""
        new = [text for text in dict.fromkeys(texts) if text not in self._rows]
        if new:
            self._blocks.append(encoded(self.encoder, new, label))
            for text in new:
                self._rows[text] = len(self._rows)
            self._all = None

    def __call__(self, texts: Sequence[str]) -> Matrix:
        """(n, dim) unit rows for texts, encoding what is new."""
        self.add(texts)
        if self._all is None:
            self._all = np.concatenate(self._blocks)
            self._blocks = [self._all]
        return self._all[[self._rows[text] for text in texts]]
