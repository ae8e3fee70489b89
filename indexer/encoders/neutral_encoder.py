"""Any multilingual encoder with its languages taken out: the setting `encoder.neutral`.

The encoders in the package hold their language-neutral space in their weights; for a sentence-transformers model it
is estimated when the model is first opened on a machine (a minute on two cores for a model of twelve small layers)
and kept in the user's cache folder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.disk_cache import derived
from indexer.encoders.neutral_space import SENTENCES, NeutralSpace, estimate
from indexer.schema import Encoder, Kind, Matrix

__all__ = ["NeutralEncoder", "neutralised"]


class NeutralEncoder:
    """`plain` with its vectors projected into `space`; the encoder of an index says so in the manifest."""

    neutral = True

    def __init__(self, plain: Encoder, space: NeutralSpace) -> None:
        self.plain = plain
        self.space = space
        self.name = plain.name
        self.dim = plain.dim
        # not of the directions themselves: their last digits differ from one machine to another
        made = f"{plain.fingerprint} neutral-1 {_sentences()} {len(space.directions)}"
        self.fingerprint = hashlib.sha256(made.encode()).hexdigest()[:32]

    @property
    def max_tokens(self) -> int | None:
        return self.plain.max_tokens

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return self.plain.count_tokens(texts)

    def encode(self, texts: Sequence[str], kind: Kind = "passage") -> Matrix:
        return self.space.project(self.plain.encode(texts, kind), kind)


def neutralised(encoder: Encoder) -> Encoder:
    """`encoder` in its language-neutral space; `encoder` itself where it is not multilingual or has nothing to gain."""
    source = f"{encoder.fingerprint} {_sentences()}".encode()

    def make() -> dict[str, NDArray[Any]]:
        space = estimate(encoder)
        if space is None:
            return {"directions": np.zeros((0, encoder.dim), np.float32)}
        return {"means": space.means, "directions": space.directions}

    arrays = derived("neutral", source, make)
    if not len(arrays["directions"]):
        return encoder
    return NeutralEncoder(encoder, NeutralSpace(arrays["means"], arrays["directions"]))


def _sentences() -> str:
    return hashlib.sha256(SENTENCES.read_bytes()).hexdigest()[:8]
