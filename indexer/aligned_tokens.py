"""The tokens that an index keeps of its passages for word alignment, made while it is written.

Where the index's encoder is the student that aligns words, a text is tokenised once for its vector and its tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from indexer.encoders.static_encoder import StaticEncoder, joined, replaced
from indexer.encoders.token_vectors import aligner, aligner_facts, aligns, known_tokens
from indexer.prepare import Hashed, Prepared, texts_of, vectors_of
from indexer.schema import Encoder, Matrix
from indexer.storage.journal import Journal
from indexer.storage.manifest import AlignmentEntry
from indexer.storage.passage_tokens import TokenSets, token_sets
from indexer.text.word_cache import Rows

__all__ = ["alignment_entry", "encoded", "same_tokens", "tokens_of"]


def alignment_entry() -> AlignmentEntry | None:
    """The student whose tokens a new index keeps; None in an installation without one."""
    facts = aligner_facts()
    return None if facts is None else AlignmentEntry(facts.name, facts.fingerprint)


def same_tokens(entry: AlignmentEntry | None) -> bool:
    """Whether the tokens that an index keeps are those that `alignment_entry()` stands for; so are none and none."""
    return aligner_facts() is None if entry is None else aligns(entry.fingerprint)


def tokens_of(texts: Sequence[str], encoder: Encoder | None = None) -> TokenSets:
    """The tokens of each text; `encoder` makes them where it is the student that aligns words."""
    student = aligner(encoder)
    assert student is not None
    return token_sets(*student.token_rows(texts), known_tokens(student))


def encoded(
    batch: Sequence[Hashed], prepared: Prepared, encoder: Encoder, journal: Journal, aligned: bool
) -> tuple[NDArray[np.int64], TokenSets | None]:
    """The journal's row of each passage of a batch, and with `aligned` its tokens."""
    if prepared.vectors is not None:
        rows = journal.add(prepared.keys, vectors_of(batch, prepared, encoder))
        return rows, _tokens_of_prepared(batch, prepared, encoder) if aligned else None
    texts = texts_of(batch, prepared)
    if not aligned:
        return journal.encode(texts, encoder), None
    if isinstance(encoder, StaticEncoder) and aligner(encoder) is encoder and not journal.waiting:
        return _read(texts, encoder, journal)
    return journal.encode(texts, encoder), tokens_of(texts, encoder)


def _read(
    texts: Sequence[str], student: StaticEncoder, journal: Journal
) -> tuple[NDArray[np.int64], TokenSets]:
    """`encoded` of texts of which none is in the journal."""
    read: list[Rows] = []

    def encode(some: Sequence[str]) -> Matrix:
        vectors, rows = student.read(some)
        read.append(rows)
        return vectors

    rows = journal.encode_by(texts, encode)
    return rows, token_sets(*joined(read), known_tokens(student))


def _tokens_of_prepared(batch: Sequence[Hashed], prepared: Prepared, encoder: Encoder) -> TokenSets:
    """Of a batch that a worker has encoded: what it has tokenised, and here the others."""
    tokens, left = prepared.tokens, prepared.left
    texts = texts_of(batch, prepared) if tokens is None or left else []
    if tokens is None:
        return tokens_of(texts, encoder)
    others = tokens_of([texts[i] for i in left], encoder)
    return TokenSets(*replaced(Rows(*tokens), left, Rows(*others)))
