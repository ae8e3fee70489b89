"""Bitext mining between two indexes, through the dense search that also serves searches.

Memory: some 100 bytes a sentence for neighbours and scores, and the FAISS index; vectors stay on disk,
memory-mapped, and texts in the folder. Every passage is one sentence here.
"""

from __future__ import annotations

import dataclasses
import hashlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

import numpy as np
from numpy.typing import NDArray

from configs.errors import ConfigError, DocumentError
from eval.sentences.bucc import Mined
from eval.sentences.margin import Margin, Neighbours, Pairs, Retrieval, choose
from eval.sentences.tables import lines
from indexer.folder import IndexFolder
from indexer.schema import Document, Encoder, Matrix
from indexer.search.dense import DenseIndex, write_ann

__all__ = [
    "BLOCK",
    "LONGEST",
    "SentenceIndex",
    "Sentences",
    "as_documents",
    "first_of_each",
    "identified",
    "live_sentences",
    "mine",
    "nearest",
    "read_sentences",
    "with_factory",
    "write_pairs",
]

BLOCK = 1024  # sentences asked about at a time
LONGEST = 100_000  # characters: a sentence is never split into passages


class SentenceIndex(Protocol):
    """Sentences with vectors that can be searched, wherever they are; a sentence is known by its place, from 0."""

    @property
    def encoder(self) -> Encoder: ...
    @property
    def origin(self) -> str:
        """The index, as a person named it."""
        ...

    def __len__(self) -> int: ...
    def vectors(self, start: int, end: int) -> Matrix:
        """(end - start, dim), as stored."""
        ...

    def neighbours(self, vectors: Matrix, k: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Exact cosines (n, k), best first, and places (n, k) of the nearest; -inf and -1 where there is none."""
        ...

    def ids(self, places: NDArray[np.int64]) -> list[str]:
        """The document id of each sentence."""
        ...

    def texts(self, places: NDArray[np.int64]) -> list[str]:
        """The text of each sentence, on one line."""
        ...


@dataclass(frozen=True, slots=True)
class Sentences:
    """The live sentences of an index folder, in row order, and the dense side that finds them.

    Satisfies `SentenceIndex`.
    """

    folder: IndexFolder
    dense: DenseIndex
    rows: NDArray[np.int64]
    """(n,) ascending rows of the folder's dense side; a sentence is known by its place here."""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def encoder(self) -> Encoder:
        return self.folder.encoder

    @property
    def origin(self) -> str:
        return str(self.folder.path)

    def neighbours(self, vectors: Matrix, k: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        found, rows = self.dense.neighbours(vectors, k)
        # a row's place among the live rows; -1 stays -1
        return found, np.where(rows >= 0, np.searchsorted(self.rows, rows), -1)

    def vectors(self, start: int, end: int) -> Matrix:
        """(end - start, dim), as stored."""
        return self.folder.store.take(self.rows[start:end])

    def ids(self, places: NDArray[np.int64]) -> list[str]:
        """The document id of each sentence."""
        return self.folder.ids(self.folder.documents_of(self.rows[places]))

    def texts(self, places: NDArray[np.int64]) -> list[str]:
        """The text of each sentence, on one line."""
        found = self.folder.fetch(self.rows[places])
        return [" ".join(passage.text.split()) for _, passage in found]


def live_sentences(folder: IndexFolder) -> Sentences:
    """Every passage that is not deleted. Raises DocumentError when there is none."""
    rows = np.flatnonzero(~np.asarray(folder.store.deleted)).astype(np.int64)
    if not len(rows):
        raise DocumentError(f"{folder.path}: the index holds no sentence")
    return Sentences(folder, folder.dense, rows)


def with_factory(sentences: Sentences, factory: str, file: Path) -> Sentences:
    """The same sentences behind another kind of FAISS index, written to `file`."""
    store = sentences.folder.store
    write_ann(file, store, factory)
    dense = DenseIndex.open(store, factory, file, len(store))
    return dataclasses.replace(sentences, dense=dense)


def nearest(
    asking: SentenceIndex, asked: SentenceIndex, k: int, steps: Iterable[int] | None = None
) -> Neighbours:
    """The k nearest of `asked` for each sentence of `asking`, by places.

    `steps` counts through 0, 1024, 2048... below len(asking): a progress bar over them may be given.
    """
    if k < 1:
        raise ConfigError(f"neighbours must be 1 or more, not {k}")
    k = min(k, len(asked))
    cosines = np.full((len(asking), k), -np.inf, dtype=np.float32)
    places = np.full((len(asking), k), -1, dtype=np.int64)
    for start in steps if steps is not None else range(0, len(asking), BLOCK):
        end = min(start + BLOCK, len(asking))
        cosines[start:end], places[start:end] = asked.neighbours(asking.vectors(start, end), k)
    return Neighbours(cosines, places)


def mine(
    source: SentenceIndex,
    target: SentenceIndex,
    k: int = 4,
    margin: Margin = "ratio",
    retrieval: Retrieval = "max",
    forward_steps: Iterable[int] | None = None,
    backward_steps: Iterable[int] | None = None,
) -> Pairs:
    """Scored pairs of places, best first (see `eval.sentences.margin.choose`).

    Raises ConfigError when the two indexes were written with different encoders.
    """
    ours, theirs = source.encoder, target.encoder
    if ours.fingerprint != theirs.fingerprint:
        raise ConfigError(
            f"{source.origin} was written with {ours.name} and {target.origin} with "
            f"{theirs.name}; vectors of two encoders cannot be compared: build one of them again"
        )
    forward = nearest(source, target, k, forward_steps)
    backward = nearest(target, source, k, backward_steps)
    return choose(forward, backward, margin, retrieval)


def identified(pairs: Pairs, source: SentenceIndex, target: SentenceIndex) -> list[Mined]:
    """Pairs with their sentences' document ids."""
    return [
        Mined(one, other, score)
        for one, other, score in zip(
            source.ids(pairs.source), target.ids(pairs.target), pairs.scores.tolist(), strict=True
        )
    ]


def write_pairs(
    file: IO[str], pairs: Pairs, source: SentenceIndex, target: SentenceIndex, ids: bool = False
) -> None:
    """`score TAB source TAB target` a line, best first; with `ids` also the two ids. Texts are read back
    from the folders a block at a time."""
    for start in range(0, len(pairs), BLOCK):
        at = slice(start, start + BLOCK)
        columns = [[f"{score:.6f}" for score in pairs.scores[at].tolist()]]
        if ids:
            columns += [source.ids(pairs.source[at]), target.ids(pairs.target[at])]
        columns += [source.texts(pairs.source[at]), target.texts(pairs.target[at])]
        file.writelines("\t".join(row) + "\n" for row in zip(*columns, strict=True))


# -- sentences from files --------------------------------------------------------------------------


def read_sentences(path: str | Path, ids: bool = False) -> Iterator[tuple[str, str]]:
    """(id, sentence) of each line that is not blank; the id is the line number, or the first column."""
    for number, line in lines(path):
        if not line.strip():
            continue
        if not ids:
            yield str(number), line.strip()
            continue
        key, tab, text = line.partition("\t")
        if not tab or not key.strip() or not text.strip():
            raise DocumentError(
                f"{path}:{number}: `id TAB sentence` is expected, not {line[:40]!r}"
            )
        yield key.strip(), text.strip()


def first_of_each(sentences: Iterable[tuple[str, str]]) -> NDArray[np.bool_]:
    """Which sentences come first with their text; 16 bytes a sentence, whatever its length."""
    digests = array("Q")
    for _, text in sentences:
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        digests.append(int.from_bytes(digest, "little"))
    keys = np.frombuffer(digests, dtype=np.uint64) if digests else np.zeros(0, np.uint64)
    first = np.zeros(len(keys), dtype=bool)
    first[np.unique(keys, return_index=True)[1]] = True
    return first


def as_documents(
    sentences: Iterable[tuple[str, str]], first: Sequence[bool] | NDArray[np.bool_], lang: str
) -> Iterator[Document]:
    """A document a sentence, repeated ones left out; a sentence over LONGEST characters is refused."""
    for (key, text), is_first in zip(sentences, first, strict=True):
        if len(text) > LONGEST:
            raise DocumentError(
                f"sentence {key} has {len(text):,} characters (limit {LONGEST:,}); is there one sentence a line?"
            )
        if is_first:
            yield Document(key, text, lang=lang)
