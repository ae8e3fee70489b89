"""The token vectors of a static student, compared one by one.

A sentence vector sums the table's rows; alignment compares them. Rows stay packed as the student stores them, two
4-bit numbers a byte: only the tokens that are asked about are unpacked. What has to be worked out of the whole
table (the length of each row, and which tokens are words) is kept in the user's cache folder.
"""

from __future__ import annotations

import functools
import json
import threading
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from indexer.disk_cache import derived
from indexer.encoders.local_models import FAST
from indexer.encoders.neutral_space import parallel_sentences
from indexer.encoders.static_encoder import StaticEncoder, unpacked
from indexer.schema import Encoder, Matrix
from indexer.vectors import principal_axes, product, unit_rows

__all__ = [
    "ALIGNER",
    "AlignerFacts",
    "TokenTable",
    "aligner",
    "aligner_facts",
    "aligns",
    "known_tokens",
    "token_table",
]

ALIGNER = FAST
"""The folder of the static student that aligns the words of every index, whatever encoder made its vectors."""

DIRECTIONS = 10  # language directions that are taken out: see docs/alignment.md
_BLOCK = 512  # rows unpacked at a time: half a MB of float32, which stays in a core's second cache
_UNPACKED = 16_384  # rows of the whole table unpacked at a time


class TokenTable:
    """Cosines between vectors and the rows of a static student's table."""

    def __init__(
        self,
        rows: NDArray[Any],
        scale: NDArray[np.float32],
        known: NDArray[np.bool_],
        inverse: NDArray[np.float32],
        directions: Matrix | None = None,
    ) -> None:
        """`rows` and `scale` as in `StaticEncoder.stored`; `known` (tokens,): the tokens that hold a letter or a digit;
        `inverse` (tokens,): 1 / the length of the row's numbers without `directions`, 0 for a row of zeros;
        `directions` (n, dim), orthonormal: those in which languages differ, which take no part in a cosine."""
        self.dim = rows.shape[1] * (2 if rows.dtype == np.uint8 else 1)
        self.known = known
        self._rows = rows
        self._scale = scale
        self._inverse = inverse
        self._directions = np.zeros((0, self.dim), np.float32) if directions is None else directions

    @classmethod
    def of(cls, encoder: StaticEncoder) -> TokenTable:
        rows, scale = encoder.stored

        def made() -> dict[str, NDArray[Any]]:
            directions = _language_directions(encoder, known)
            return {"inverse": _inverse_lengths(rows, directions), "directions": directions}

        known = known_tokens(encoder)
        found = derived("token-lengths", f"2 {encoder.fingerprint}".encode(), made)
        return cls(rows, scale, known, found["inverse"], found["directions"])

    def neutral(self, vectors: Matrix) -> Matrix:
        """`vectors` (n, dim) without the directions in which languages differ."""
        projected: Matrix = vectors - (vectors @ self._directions.T) @ self._directions
        return projected

    def vectors(self, tokens: NDArray[np.int32]) -> Matrix:
        """The rows of these tokens, as long as training made them; (len(tokens), dim)."""
        numbers = _numbers(self._rows[tokens])
        return numbers * self._scale[tokens][:, None]

    def unit_rows(self, tokens: NDArray[np.int32]) -> Matrix:
        """The rows of these tokens without their languages, of unit length; (len(tokens), dim)."""
        return self.neutral(_numbers(self._rows[tokens])) * self._inverse[tokens][:, None]

    def cosines(self, vectors: Matrix, tokens: NDArray[np.int32]) -> Matrix:
        """The cosine of each token's row and each of the unit `vectors` (n, dim), which are `neutral`; (len(tokens), n)."""
        out = np.empty((len(tokens), len(vectors)), np.float32)
        numbers = np.empty((min(_BLOCK, len(tokens)), self.dim), np.float32)
        packed = self._rows.dtype == np.uint8
        factors = np.ascontiguousarray(_for_bytes(vectors).T if packed else vectors.T)  # (dim, n)
        half = self.dim // 2
        for at in range(0, len(tokens), _BLOCK):
            rows = np.take(self._rows, tokens[at : at + _BLOCK], axis=0)
            block = numbers[: len(rows)]
            if packed:
                block[:, :half] = rows
                block[:, half:] = np.right_shift(rows, 4, out=rows)
            else:
                block[:] = rows
            product(block, factors, out[at : at + len(rows)])
        if packed:
            out -= 8 * vectors.sum(axis=1)
        out *= self._inverse[tokens][:, None]
        return out


def _for_bytes(vectors: Matrix) -> Matrix:
    """What the bytes b of a packed row, and then all b >> 4, are multiplied by; (n, dim).

    A byte holds the numbers (b & 15) - 8 and (b >> 4) - 8, of an even and an odd dimension:
    even (b & 15) + odd (b >> 4) = even b + (odd - 16 even) (b >> 4). The eights are subtracted afterwards.
    """
    even, odd = vectors[:, 0::2], vectors[:, 1::2]
    return np.concatenate([even, odd - 16 * even], axis=1)


def known_tokens(encoder: StaticEncoder) -> NDArray[np.bool_]:
    """(tokens,): which tokens say anything; the others are left out of alignment."""
    global _known
    fingerprint, known = _known
    if fingerprint != encoder.fingerprint:
        known = _known_tokens(encoder)
        _known = encoder.fingerprint, known
    return known


_known = "", np.zeros(0, np.bool_)  # of the encoder that was asked about last


def _known_tokens(encoder: StaticEncoder) -> NDArray[np.bool_]:
    def made() -> dict[str, NDArray[Any]]:
        rows, _ = encoder.stored
        pieces = encoder.pieces()
        known = np.zeros(len(rows), np.bool_)
        known[: len(pieces)] = np.fromiter(map(_is_word, pieces), np.bool_, len(pieces))
        return {"known": known}

    return derived("token-words", f"1 {encoder.fingerprint}".encode(), made)["known"]


def _is_word(piece: str) -> bool:
    """Whether a token says anything: it holds a letter or a digit, and is no special one such as [UNK]."""
    special = len(piece) > 2 and (piece[0], piece[-1]) in {("[", "]"), ("<", ">")}
    return not special and any(map(str.isalnum, piece))


def _numbers(rows: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(unpacked(rows) if rows.dtype == np.uint8 else rows, np.float32)


def _language_directions(encoder: StaticEncoder, known: NDArray[np.bool_]) -> Matrix:
    """The principal directions of the languages' mean token vectors (after Yang et al. 2021), (DIRECTIONS, dim).

    The means are of the unit rows of the tokens of the parallel sentences. Fewer where the table has few dimensions;
    none where it knows few of the languages.
    """
    rows, _ = encoder.stored
    count = min(DIRECTIONS, encoder.dim // 16)
    means = []
    for sentences in parallel_sentences().values():
        tokens = encoder.token_rows(sentences).flat
        tokens = tokens[known[tokens]]
        if len(tokens) >= len(sentences):
            means.append(unit_rows(_numbers(rows[tokens])).mean(axis=0))
    if len(means) < 2 * count or not count:
        return np.zeros((0, encoder.dim), np.float32)
    apart = np.array(means) - np.mean(means, axis=0)
    return np.ascontiguousarray(principal_axes(apart, count).T)


def _inverse_lengths(rows: NDArray[Any], directions: Matrix) -> NDArray[np.float32]:
    lengths = np.empty(len(rows), np.float32)
    for at in range(0, len(rows), _UNPACKED):
        numbers = _numbers(rows[at : at + _UNPACKED])
        numbers -= (numbers @ directions.T) @ directions
        lengths[at : at + len(numbers)] = np.sqrt(np.einsum("ij,ij->i", numbers, numbers))
    return np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 1e-3)


# -- the student of this installation --------------------------------------------------------------

_opening = threading.Lock()


@functools.lru_cache(maxsize=1)
def _loaded(folder: Path) -> StaticEncoder:
    return StaticEncoder.load(folder)


@functools.lru_cache(maxsize=1)
def _table(folder: Path) -> TokenTable:
    return TokenTable.of(_loaded(folder))


class AlignerFacts(NamedTuple):
    name: str
    fingerprint: str
    same_tokens: tuple[str, ...] = ()

    def reads(self, fingerprint: str) -> bool:
        """Whether it aligns words by the token numbers that the student of this fingerprint wrote."""
        return fingerprint == self.fingerprint or fingerprint in self.same_tokens


@functools.lru_cache(maxsize=1)
def _facts(folder: Path) -> AlignerFacts | None:
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    earlier = tuple(map(str, config.get("same_tokens", ())))
    return AlignerFacts(str(config["name"]), str(config["fingerprint"]), earlier)


def aligner_facts() -> AlignerFacts | None:
    """Which student aligns words, without loading it; None in an installation without one."""
    return _facts(ALIGNER)


def aligns(fingerprint: str) -> bool:
    """Whether this installation aligns words by the token numbers that the student of this fingerprint wrote."""
    facts = aligner_facts()
    return facts is not None and facts.reads(fingerprint)


def aligner(encoder: Encoder | None = None) -> StaticEncoder | None:
    """The student that aligns words, loaded once a process; None in an installation without one.

    `encoder` itself, where it is that student.
    """
    facts = aligner_facts()
    if facts is None:
        return None
    if isinstance(encoder, StaticEncoder) and encoder.fingerprint == facts.fingerprint:
        return encoder
    with _opening:
        return _loaded(ALIGNER)


def token_table() -> TokenTable:
    """The table of `aligner()`, which must not be None."""
    with _opening:
        return _table(ALIGNER)
