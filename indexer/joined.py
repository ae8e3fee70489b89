"""Two encoders side by side: a cosine of joined vectors is the mean of the two encoders' cosines.

They err in different places, a static student in word order and a small transformer in rare words, so
together they are better than either (figures: README, Students).
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence

import numpy as np

from indexer.schema import Encoder, Kind, Matrix
from indexer.vectors import unit_rows

__all__ = ["JoinedEncoder"]


class JoinedEncoder:
    """`parts` side by side; (n, sum of their dimensions) unit rows. A part that sees nothing in a text,
    and gives a zero row, has no say in it."""

    def __init__(self, parts: Sequence[Encoder], name: str, model: str) -> None:
        self.parts = tuple(parts)
        self.name = name
        self.model = model  # what `open_encoder` opens it by
        self.dim = sum(part.dim for part in parts)
        marks = " ".join(part.fingerprint for part in parts)
        self.fingerprint = hashlib.sha256(f"joined-1 {marks}".encode()).hexdigest()[:32]

    @property
    def max_tokens(self) -> int | None:
        """The longest limit of a part: it sees what the others are too short for. To split Cranfield at
        the transformer's 128 tokens cost words more (nDCG@10 .521 to .503) than it gave meaning."""
        return self._longest().max_tokens

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """As the part with the longest limit counts them."""
        return self._longest().count_tokens(texts)

    def _longest(self) -> Encoder:
        return max(self.parts, key=lambda part: part.max_tokens or sys.maxsize)

    def encode(self, texts: Sequence[str], kind: Kind = "passage") -> Matrix:
        return unit_rows(np.hstack([part.encode(texts, kind) for part in self.parts]))
