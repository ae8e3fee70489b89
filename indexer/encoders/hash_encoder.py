"""An encoder that knows no meaning, for tests and for trying out: nothing is loaded, and the same text is the same everywhere."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from configs.errors import ConfigError
from indexer.schema import Kind, Matrix
from indexer.vectors import unit_rows

__all__ = ["HashEncoder"]


class HashEncoder:
    """A pure function of the text: hashed words and character trigrams, signed, unit length.

    It knows no language and no meaning; texts that share words are near. For tests and for trying out.
    """

    max_tokens: int | None = None

    def __init__(self, dim: int = 256) -> None:
        if not 8 <= dim <= 65_536:
            raise ConfigError(f"encoder hash:{dim}: between 8 and 65,536 dimensions are needed")
        self.dim = dim
        self.name = f"hash:{dim}"
        self.fingerprint = f"hash-1-{dim}"

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def encode(self, texts: Sequence[str], kind: Kind = "passage") -> Matrix:
        vectors = np.zeros((len(texts), self.dim), dtype=np.float32)
        for row, text in zip(vectors, texts, strict=True):
            for word in text.casefold().split():
                padded = f"<{word}>"
                grams = [padded[i : i + 3] for i in range(len(padded) - 2)]
                for gram, weight in [(word, 1.0), *((gram, 0.3) for gram in grams)]:
                    code = zlib.crc32(gram.encode("utf-8", "surrogatepass"))
                    row[code % self.dim] += weight if code & 0x10000 else -weight
        return unit_rows(vectors)
