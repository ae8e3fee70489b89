"""BUCC bitext mining: files in and out, the threshold from a training split, precision, recall, F1.

The shared task of Zweigenbaum et al. 2018, measured as Artetxe and Schwenk 2019 and Reimers and Gurevych
2020, section 4.2: the threshold of the best F1 on the training split is applied to the test split.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from configs.errors import DocumentError
from eval.sentences.tables import read_rows

__all__ = [
    "Mined",
    "Quality",
    "Split",
    "best_threshold",
    "quality",
    "read_gold",
    "read_split",
    "write_gold",
]


@dataclass(frozen=True, slots=True)
class Mined:
    """A pair by the sentences' ids, with its margin score."""

    source: str
    target: str
    score: float


@dataclass(frozen=True, slots=True)
class Quality:
    """Pairs kept at a threshold, against the gold; each figure in [0, 1]."""

    threshold: float
    kept: int
    right: int
    gold: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class Split:
    """One BUCC split: sentences of both languages by id, and the gold pairs (None: not given)."""

    name: str
    langs: tuple[str, str]
    source: dict[str, str]
    target: dict[str, str]
    gold: frozenset[tuple[str, str]] | None
    repeated: int
    """Sentences whose text stood before under another id. They stay: gold pairs may name them, and leaving them out would
    cap recall."""


def best_threshold(mined: Sequence[Mined], gold: Collection[tuple[str, str]]) -> float:
    """The threshold of the highest F1: midway between the last pair kept and the first left out.

    On equal F1 the highest threshold; pairs of one score are kept or left together. With nothing right,
    one above every score. Raises DocumentError without gold pairs.
    """
    if not gold:
        raise DocumentError("there are no gold pairs; a threshold cannot be chosen")
    ranked = sorted(mined, key=lambda pair: -pair.score)
    right, best = 0, 0.0
    threshold = float(np.nextafter(ranked[0].score, np.inf)) if ranked else 0.0
    for kept, pair in enumerate(ranked, start=1):
        right += (pair.source, pair.target) in gold
        following = ranked[kept].score if kept < len(ranked) else pair.score
        if following == pair.score and kept < len(ranked):
            continue
        f1 = 2 * right / (kept + len(gold))
        if f1 > best:
            best, threshold = f1, (pair.score + following) / 2
    return threshold


def quality(
    mined: Iterable[Mined], gold: Collection[tuple[str, str]], threshold: float = -np.inf
) -> Quality:
    """Precision, recall and F1 of the pairs that score `threshold` or more; 0 over nothing."""
    kept = {(pair.source, pair.target) for pair in mined if pair.score >= threshold}
    right = len(kept.intersection(gold))
    precision = right / len(kept) if kept else 0.0
    recall = right / len(gold) if gold else 0.0
    f1 = 2 * precision * recall / (precision + recall) if right else 0.0
    return Quality(threshold, len(kept), right, len(gold), precision, recall, f1)


def read_split(prefix: str, langs: tuple[str, str] | None = None) -> Split:
    """A BUCC split by its common name: `de-en.training` reads `.de`, `.en` and, where it is, `.gold`.

    The text files hold `id TAB sentence`, the gold file `id TAB id`. `langs`: the two endings, source
    first; None: from the name (`de-en.training` -> de, en). Ending `.gz` is looked for as well.
    """
    langs = langs or _langs(prefix)
    source = _read_sentences(_file(f"{prefix}.{langs[0]}"))
    target = _read_sentences(_file(f"{prefix}.{langs[1]}"))
    gold = None
    if any(Path(f"{prefix}.gold{ending}").is_file() for ending in ("", ".gz")):
        gold = read_gold(_file(f"{prefix}.gold"))
        unknown = [p for p in sorted(gold) if p[0] not in source or p[1] not in target]
        if unknown:
            raise DocumentError(
                f"{prefix}.gold: {len(unknown)} of {len(gold)} pairs name a sentence that is not in the "
                f"split, first {unknown[0][0]} and {unknown[0][1]}"
            )
    repeated = sum(len(side) - len(set(side.values())) for side in (source, target))
    return Split(Path(prefix).name, langs, source, target, gold, repeated)


def read_gold(path: str) -> frozenset[tuple[str, str]]:
    """Gold pairs: `source id TAB target id` in each line."""
    return frozenset(
        (row.values[0], row.values[1]) for row in read_rows(path, ("source id", "target id"))
    )


def write_gold(path: str, mined: Iterable[Mined]) -> None:
    """Pairs as BUCC wants them: `source id TAB target id`, best first."""
    with Path(path).open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{pair.source}\t{pair.target}\n" for pair in mined)


def _read_sentences(path: str) -> dict[str, str]:
    """Sentences by id."""
    found: dict[str, str] = {}
    for row in read_rows(path, ("id", "sentence")):
        key, text = row.values
        if key in found:
            raise DocumentError(f"{path}:{row.line}: the id {key} stands twice")
        found[key] = text
    return found


def _langs(prefix: str) -> tuple[str, str]:
    source, dash, target = Path(prefix).name.partition(".")[0].partition("-")
    if not dash or not source or not target:
        raise DocumentError(
            f"{prefix}: the two languages cannot be told from the name (de-en.training); give --langs de,en"
        )
    return source, target


def _file(path: str) -> str:
    for ending in ("", ".gz"):
        if Path(path + ending).is_file():
            return path + ending
    raise DocumentError(f"{path}: no such file, nor {Path(path).name}.gz")
