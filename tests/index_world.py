"""Small indexes for the tests of the index folder: documents that are easy to find, and what is in one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from configs.settings import DenseSettings, PassageSettings
from indexer.build import ChangeReport, build_index
from indexer.encoders.hash_encoder import HashEncoder
from indexer.encoders.token_vectors import aligner, known_tokens
from indexer.folder import IndexFolder
from indexer.schema import Document, Keys, Kind, Matrix
from indexer.text.passages import passage_texts, split
from indexer.verify import verify
from retriever.retriever import Retriever

DIM = 16
SPLIT = PassageSettings(size=60, overlap=0)


def folder_of(retriever: Retriever) -> IndexFolder:
    """The index folder that a retriever searches."""
    assert isinstance(retriever.collection, IndexFolder)
    return retriever.collection


class CountingEncoder(HashEncoder):
    """A HashEncoder that remembers how many passages each call had."""

    def __init__(self, dim: int = DIM) -> None:
        super().__init__(dim)
        self.calls: list[int] = []

    def encode(self, texts: Sequence[str], kind: Kind = "passage") -> Matrix:
        if kind == "passage":
            self.calls.append(len(texts))
        return super().encode(texts, kind)

    @property
    def texts(self) -> int:
        return sum(self.calls)


def document(number: int, version: int = 0) -> Document:
    """Words of its own in every passage: `numberN`, `versionV`; one to three passages by its number."""
    sentences = [
        f"Here is number{number} in version{version}, part{n}." for n in range(number % 3 + 1)
    ]
    return Document(f"d{number}", " ".join(sentences), f"Title {number}", lang="en")


def documents(numbers: Iterable[int], version: int = 0) -> list[Document]:
    return [document(number, version) for number in numbers]


def by_id(items: Iterable[Document]) -> dict[str, Document]:
    return {item.id: item for item in items}


def build(path: Path, items: Iterable[Document], factory: str = "Flat") -> ChangeReport:
    return build_index(
        path, items, HashEncoder(DIM), passages=SPLIT, dense=DenseSettings(factory=factory)
    )


def contents(path: Path) -> dict[str, Document]:
    """Every document of the newest commit."""
    folder = IndexFolder.open(path, HashEncoder(DIM), "cpu")
    try:
        return folder.documents(list(folder.document_ids()))
    finally:
        folder.close()


def tokens_of(folder: IndexFolder, rows: Keys) -> list[list[int]] | None:
    """The tokens that an index holds of each of these passages; None where it holds none."""
    if folder.tokens is None:
        return None
    flat, borders = folder.tokens.take(rows)
    return [part.tolist() for part in np.split(flat, borders[1:-1])]


def expected_tokens(texts: Sequence[str]) -> list[list[int]] | None:
    """The different tokens with a letter or a digit of each text; None in a checkout without a student."""
    student = aligner()
    if student is None:
        return None
    known = known_tokens(student)
    return [sorted({t for t in tokens.tolist() if known[t]}) for tokens in student.tokens(texts)]


def problems(path: Path, expected: Mapping[str, Document]) -> list[str]:
    """What is not as it should be in an index of exactly these documents; empty when all is well.

    Beyond `verify`: the documents word for word, their vectors as the encoder gives them, and each of
    them found by its own words and by its own vector.
    """
    damage = verify(path)
    if damage:
        return damage
    encoder = HashEncoder(DIM)
    folder = IndexFolder.open(path, encoder, "cpu")
    try:
        ids = list(folder.document_ids())
        if sorted(ids) != sorted(expected) or len(folder) != len(expected):
            return [f"documents {sorted(ids)}; {sorted(expected)} are expected"]
        if folder.documents(ids) != expected:
            return ["a document is not what was added"]
        passages = folder.passages(ids)
        for id_, item in expected.items():
            texts = passage_texts(item.title, item.text, split(item.text, SPLIT.size, 0))
            if len(passages[id_]) != len(texts):
                return [f"{id_} has {len(passages[id_])} passages, not {len(texts)}"]
            if tokens_of(folder, passages[id_]) != expected_tokens(texts):
                return [f"{id_}: its tokens are not those of its passages"]
            vectors = folder.dense.vectors(passages[id_])
            if not np.allclose(vectors, encoder.encode(texts), atol=1e-6):
                return [f"{id_}: its vectors are not those of its passages"]
        for id_ in list(expected)[:: max(1, len(expected) // 8)]:
            own = f"number{id_[1:]}"
            found = folder.lexical.search(folder.queries([own])[0], 50)
            if set(folder.ids(folder.documents_of(found.keys))) != {id_}:
                return [f"{own} does not find {id_} alone"]
            scores, rows = folder.dense.neighbours(folder.dense.vectors(passages[id_][:1]), 5)
            if abs(scores[0, 0] - 1) > 1e-5:
                return [f"the vector of {id_} does not find itself"]
            del rows
    finally:
        folder.close()
    return []
