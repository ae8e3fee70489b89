"""Where a static student starts: the table and tokenizer of an existing one, with pieces for what it cannot read.

The pieces come from another unigram vocabulary (`vocabulary_from`): those that the tokenizer, which folds case and
compatibility forms first, turns into the unknown piece, as of scripts that it was not trained on. Each starts at
the teacher's vector of its text, turned into the table's space by least squares.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from configs.errors import ConfigError
from configs.training_static import StaticSettings
from indexer.encoders import tokenizer_files
from indexer.encoders.opening import PACKAGED, open_encoder
from indexer.encoders.static_encoder import StaticEncoder
from indexer.schema import Matrix
from indexer.vectors import unit_rows

__all__ = ["StaticStart", "open_start", "unreadable_pieces"]

SAMPLED = 40_000
"""Texts from which the map between the spaces is estimated."""
FREQUENCY = 1e-3 / 3
"""Smooth inverse frequency (Arora et al. 2017): a new piece of probability p starts at length f / (f + p)."""


@dataclass(frozen=True, slots=True)
class StaticStart:
    """A static encoder to go on from, and the tokenizer of the student."""

    encoder: StaticEncoder
    tokenizer: str
    """Of the student, as JSON: the encoder's, with `pieces` at the end."""
    pieces: tuple[str, ...]
    """Text of each new piece, without the mark of a word's beginning."""
    scores: tuple[float, ...]
    """Log-probability of each new piece."""

    def table(self, texts: Sequence[str], teacher: Matrix, pieces: Matrix, seed: int) -> Matrix:
        """The table that training starts from, (tokens, dim) float32; the median row of the encoder's has length 1.

        `teacher`: the teacher's vectors of `texts`, `pieces`: of the new pieces. The row of the unknown piece is zero.
        """
        known = self.encoder.table()
        known /= np.median(np.linalg.norm(known, axis=1))
        known[_unknown(json.loads(self.tokenizer))] = 0.0
        if not self.pieces:
            return known
        rng = np.random.default_rng([seed, 0x57A7])
        rows = rng.permutation(len(texts))[:SAMPLED]
        ours = self.encoder.encode([texts[row] for row in rows])
        turn = np.linalg.lstsq(teacher[rows], ours, rcond=None)[0]  # (teacher's dim, dim)
        lengths = FREQUENCY / (FREQUENCY + np.exp(np.array(self.scores)))
        fresh = unit_rows(pieces @ turn) * lengths[:, None]
        return np.concatenate([known, fresh]).astype(np.float32)


def open_start(settings: StaticSettings) -> StaticStart:
    """The encoder that `settings.start` names, its tokenizer with pieces of `settings.vocabulary_from`.

    Raises ConfigError for an encoder that is not static or has other dimensions, and for a vocabulary of another kind.
    """
    encoder = open_encoder(settings.start)
    if not isinstance(encoder, StaticEncoder) or encoder.folder is None:
        raise ConfigError(
            f"start: {settings.start} is no static encoder; give fast, or a folder that tandem train export wrote"
        )
    if encoder.dim != settings.dim:
        raise ConfigError(
            f"dim: {settings.start}, the start, has {encoder.dim} dimensions, the student cannot have {settings.dim}"
        )
    own = _unigram(tokenizer_files.find(encoder.folder), "start")
    found: list[tuple[str, float]] = []
    if settings.vocabulary_from:
        place = PACKAGED.get(settings.vocabulary_from, Path(settings.vocabulary_from))
        file = tokenizer_files.find(place) if place.is_dir() else place
        other = _unigram(file, "vocabulary_from")
        found = unreadable_pieces(own, [(piece, score) for piece, score in other["model"]["vocab"]])
        own["model"]["vocab"] += [[piece, score] for piece, score in found]
    return StaticStart(
        encoder,
        json.dumps(own, ensure_ascii=False, separators=(",", ":")),
        tuple(piece.strip("▁") for piece, _ in found),
        tuple(score for _, score in found),
    )


def unreadable_pieces(
    tokenizer: dict[str, Any], vocabulary: Sequence[tuple[str, float]]
) -> list[tuple[str, float]]:
    """Pieces of `vocabulary`, with their scores, that `tokenizer` (its JSON) cannot read, folded as it folds texts."""
    reader = Tokenizer.from_str(json.dumps(tokenizer))
    known = {piece for piece, _ in tokenizer["model"]["vocab"]}
    folded: dict[str, float] = {}
    for piece, score in vocabulary:
        text = piece.replace("▁", " ")
        text = reader.normalizer.normalize_str(text) if reader.normalizer else text
        text = text.replace(" ", "▁")
        has_letter = any(c.isalnum() or unicodedata.category(c)[0] == "M" for c in text)
        special = score == 0  # <s>, <pad>, <unk>
        if text not in known and has_letter and not special and "▁" not in text[1:]:
            folded.setdefault(text, score)
    read = reader.encode_batch([text.replace("▁", "") for text in folded], add_special_tokens=False)
    unknown = _unknown(tokenizer)
    return [item for item, found in zip(folded.items(), read, strict=True) if unknown in found.ids]


def _unknown(tokenizer: dict[str, Any]) -> int:
    """The number of the unknown piece."""
    return int(tokenizer["model"]["unk_id"])


def _unigram(file: Path, setting: str) -> dict[str, Any]:
    """The JSON of a unigram tokenizer."""
    try:
        found: dict[str, Any] = json.loads(tokenizer_files.read_text(file))
        kind = found["model"]["type"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{setting}: {file} cannot be read as a tokenizer.json ({error}); "
            "name an encoder's folder that holds one, or the file"
        ) from error
    if kind != "Unigram" or found["model"].get("unk_id") is None:
        raise ConfigError(
            f"{setting}: {file} is a {kind} tokenizer; a Unigram one with an unknown piece is needed"
        )
    return found
