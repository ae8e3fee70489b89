"""Settings of what students are trained on: parallel files, their shares, and what must stay out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["CorporaSettings", "CorpusSettings"]


@dataclass(frozen=True, slots=True)
class CorpusSettings:
    """One file, or several of one kind."""

    path: str
    """A TSV (plain, gz, xz) or a pattern of such (`en-*.tsv.xz`); the common start of an OPUS Moses pair
    (`Tatoeba.cs-en` for Tatoeba.cs-en.cs and .en) or its zip; `hf:NAME` or `hf:NAME:CONFIG`."""
    target: str = ""
    """The language beside the teacher's, ISO 639-1. Empty: read from the file's name (en-cs, cs-en)."""
    columns: tuple[str, ...] = ()
    """Of a Hugging Face data set: the teacher's column, then the other. Empty: found by name."""
    split: str = "train"
    """Of a Hugging Face data set."""
    weight: float = 1.0
    """How often a pair of it is drawn beside the pairs of other files."""
    share: float = 0.0
    """Share of all drawn pairs that come from this entry's files, whatever their size. Give it for all entries
    (they are scaled to a sum of 1) or for none; 0: by weight alone."""
    limit: int = 0
    """Pairs read at most from each file, chosen at random by the seed. 0: all."""

    def __post_init__(self) -> None:
        if self.weight <= 0:
            raise ValueError(
                f"weight must be above 0, not {self.weight}; leave the corpus out instead"
            )
        if not 0 <= self.share <= 1:
            raise ValueError(f"share must be from 0 to 1, not {self.share}")
        if self.limit < 0 or len(self.columns) not in (0, 2):
            raise ValueError("limit must be 0 or more, and columns two names or none")


@dataclass(frozen=True, slots=True)
class CorporaSettings:
    """All files of a training run, and how they are mixed."""

    files: tuple[CorpusSettings, ...] = ()
    language: str = "en"
    """The teacher's language."""
    temperature: float = 1.0
    """Languages are drawn in proportion to (pairs of it) ** temperature: 1 as they are, 0 all alike. Where entries
    have shares, within each entry."""
    pairs: int = 0
    """Pairs kept of all that were read, drawn by their weights without replacement. 0: all."""
    source_weights: Mapping[str, float] = field(default_factory=dict)
    """By the first column of a three-column TSV: weight of its pairs, 0 to leave them out. Others: 1."""
    source_limits: Mapping[str, int] = field(default_factory=dict)
    """By the same column: pairs kept at most in each language, chosen at random by the seed."""
    exclude: tuple[str, ...] = ()
    """Files or folders of evaluation sets: a pair with a side that stands there is an overlap."""
    overlap: Literal["remove", "refuse"] = "remove"
    """What is done about pairs that overlap; either way they are counted."""
    max_chars: int = 1000
    """Texts are cut here."""
    bad_share: float = 0.01
    """Rows with a missing column or an empty side that a file may have before it is refused."""
    language_share: float = 0.3
    """Share of a file's texts that must be in its language, as far as the detector knows it. 0: any."""

    def __post_init__(self) -> None:
        if self.pairs < 0:
            raise ValueError(f"pairs must be 0 (all) or more, not {self.pairs}")
        without = [corpus.path for corpus in self.files if not corpus.share]
        if without and len(without) < len(self.files):
            raise ValueError(
                f"files: {', '.join(without)} has no share but others have; give a share for all or for none"
            )
