"""The sentences of an index in Elasticsearch, for mining: their keys are in memory, all else is in the cluster."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from configs.errors import ConfigError, DocumentError
from indexer.cluster import ClusterIndex
from indexer.schema import Encoder, Matrix

__all__ = ["ClusterSentences"]


class ClusterSentences:
    """Every passage of es://NAME, by key. Satisfies `eval.sentences.mining.SentenceIndex`.

    Raises DocumentError when there is none.
    """

    def __init__(self, index: ClusterIndex) -> None:
        self._index = index
        self._keys = np.array(list(index.passage_keys()), np.str_)
        if not len(self._keys):
            raise DocumentError(f"{index.address}: the index holds no sentence")

    @property
    def encoder(self) -> Encoder:
        return self._index.encoder

    @property
    def origin(self) -> str:
        return self._index.address

    def __len__(self) -> int:
        return len(self._keys)

    def vectors(self, start: int, end: int) -> Matrix:
        """(end - start, dim), as stored."""
        return self._index.vectors(self._keys[start:end].tolist())

    def neighbours(self, vectors: Matrix, k: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Exact cosines and places of the nearest sentences, as far as the graph finds them."""
        cosines = np.full((len(vectors), k), -np.inf)
        places = np.full((len(vectors), k), -1, np.int64)
        for row, found in enumerate(self._index.nearest(vectors, k)):
            count = len(found.keys)
            cosines[row, :count] = found.scores
            places[row, :count] = self._places(found.keys)
        return cosines, places

    def _places(self, keys: NDArray[Any]) -> NDArray[np.int64]:
        found = np.searchsorted(self._keys, keys).clip(max=len(self._keys) - 1)
        if (self._keys[found] != keys).any():
            raise ConfigError(f"{self.origin} was changed while it was read; run this again")
        return found.astype(np.int64)

    def ids(self, places: NDArray[np.int64]) -> list[str]:
        """The document id of each sentence."""
        return self._index.ids(self._index.documents_of(self._keys[places]))

    def texts(self, places: NDArray[np.int64]) -> list[str]:
        """The text of each sentence, on one line."""
        found = self._index.fetch(self._keys[places])
        return [" ".join(passage.text.split()) for _, passage in found]
