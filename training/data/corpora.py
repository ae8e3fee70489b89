"""Parallel corpora: read, checked, cleared of evaluation sets, and mixed by weight.

A file is a TSV of two columns (teacher's language, other) or three (source, teacher's language,
other), an OPUS Moses pair, or a Hugging Face data set; `training.data.bitext_files` knows how each is
read. This module knows nothing of models.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from configs.errors import ConfigError, DocumentError
from configs.training_corpora import CorporaSettings, CorpusSettings
from training.data.bitext_files import BitextFile, expand, read_rows
from training.data.overlap import evaluation_texts, fold

__all__ = ["FileReport", "Pairs", "Talk", "read_pairs", "wrong_language"]

Talk = Callable[[str], None]


@dataclass(slots=True)
class FileReport:
    """What became of one file's rows. `overlap` counts by evaluation set."""

    path: str
    language: str
    read: int = 0
    bad: int = 0
    weighted_out: int = 0
    overlap: dict[str, int] = field(default_factory=dict)
    kept: int = 0


@dataclass(frozen=True, slots=True)
class Pairs:
    """Columns of equal length n: row i of `sources` (the teacher's language) and `targets` is a pair."""

    sources: list[str]
    targets: list[str]
    language: NDArray[np.int16]  # (n,) index into languages
    origin: NDArray[np.int16]  # (n,) index into origins
    weight: NDArray[np.float64]  # (n,) drawn in proportion to it; sums to n
    languages: tuple[str, ...]  # of the target side
    origins: tuple[str, ...]
    reports: tuple[FileReport, ...]

    def __len__(self) -> int:
        return len(self.sources)

    def take(self, rows: NDArray[np.integer]) -> Pairs:
        """The pairs at `rows`, in that order."""
        return Pairs(
            [self.sources[i] for i in rows],
            [self.targets[i] for i in rows],
            self.language[rows],
            self.origin[rows],
            self.weight[rows],
            self.languages,
            self.origins,
            self.reports,
        )

    def split(self, held_out: int, seed: int) -> tuple[Pairs, Pairs]:
        """(training, held out): `held_out` pairs of each language at most, none of a text of which trains.

        Every pair whose source side is held out leaves the training part, so that the held-out share
        measures translation and not memory.
        """
        rng = np.random.default_rng(seed)
        chosen: list[int] = []
        for number in range(len(self.languages)):
            rows = np.flatnonzero(self.language == number)
            # at most a tenth of a small language is kept from training
            size = min(held_out, len(rows) // 10)
            chosen.extend(rng.choice(rows, size, replace=False).tolist())
        texts = {fold(self.sources[i]) for i in chosen}
        held = np.fromiter((fold(text) in texts for text in self.sources), np.bool_, len(self))
        return self.take(np.flatnonzero(~held)), self.take(np.sort(np.array(chosen, np.int64)))

    def sample(self, count: int, seed: int) -> Pairs:
        """`count` different pairs, drawn by their weights, which are 1 from there on.

        Weighted sampling without replacement (Efraimidis and Spirakis 2006): the rows with the smallest
        -log(u) / weight, u uniform.
        """
        rng = np.random.default_rng([seed, 0x5A])
        keys = rng.exponential(size=len(self)) / np.maximum(self.weight, 1e-12)  # (n,)
        rows = np.sort(np.argsort(keys, kind="stable")[:count])
        return dataclasses.replace(self.take(rows), weight=np.ones(len(rows)))

    def by_language(self) -> dict[str, int]:
        """Pairs of each language."""
        counts = np.bincount(self.language, minlength=len(self.languages)).tolist()
        return dict(zip(self.languages, counts, strict=True))

    def draw(self, count: int, seed: int, epoch: int) -> NDArray[np.int64]:
        """`count` rows of one epoch, in random order: each as often as its weight says.

        A row of weight w among n is drawn floor or ceil of count * w / n times (systematic sampling),
        so no row is lost by chance. The same seed and epoch give the same rows.
        """
        rng = np.random.default_rng([seed, epoch])
        expected = self.weight * (count / self.weight.sum())  # (n,)
        edges = np.concatenate([[0.0], np.cumsum(expected)])
        ticks = np.floor(edges - rng.random())  # a tick at every whole number, shifted
        times = np.diff(ticks).astype(np.int64)
        rows = np.repeat(np.arange(len(self), dtype=np.int64), times)
        return rng.permutation(rows)


def read_pairs(settings: CorporaSettings, *, seed: int = 0, talk: Talk | None = None) -> Pairs:
    """Every file of `settings`, limited, checked and without the evaluation sets.

    Raises ConfigError when there is nothing to read, and DocumentError, which names the file and the
    counts, for rows without a column or a side, a corpus of another language than it says, and (when
    told to refuse it) an overlap with an evaluation set.
    """
    if not settings.files:
        raise ConfigError("corpora.files: no corpus is named; give at least one path")
    held = evaluation_texts(settings.exclude)
    columns: tuple[list[str], list[str]] = ([], [])
    language: list[int] = []
    origin: list[int] = []
    weight: list[float] = []
    entry: list[int] = []  # of settings.files
    languages: dict[str, int] = {}
    origins: dict[str, int] = {}
    reports: list[FileReport] = []
    for place, corpus in enumerate(settings.files):
        for file in expand(corpus, settings.language):
            report = FileReport(file.place, file.target)
            kept = _read_file(file, corpus, settings, held, report, seed)
            reports.append(report)
            number = languages.setdefault(file.target, len(languages))
            for name, source, target in kept:
                columns[0].append(source)
                columns[1].append(target)
                language.append(number)
                origin.append(origins.setdefault(name, len(origins)))
                weight.append(corpus.weight * settings.source_weights.get(name, 1.0))
                entry.append(place)
            if talk is not None:
                talk(_line(report))
    if settings.overlap == "refuse":
        _refuse_overlap(reports)
    numbers = np.array(language, np.int16)
    shares = np.array([corpus.share for corpus in settings.files])
    pairs = Pairs(
        *columns,
        numbers,
        np.array(origin, np.int16),
        _balanced(
            np.array(weight), numbers, np.array(entry, np.int64), shares, settings.temperature
        ),
        tuple(languages),
        tuple(origins),
        tuple(reports),
    )
    return pairs.sample(settings.pairs, seed) if 0 < settings.pairs < len(pairs) else pairs


def _read_file(
    file: BitextFile,
    corpus: CorpusSettings,
    settings: CorporaSettings,
    held: Mapping[str, Set[str]],
    report: FileReport,
    seed: int,
) -> list[tuple[str, str, str]]:
    """(source name, teacher's text, other text) of one file; `report` is filled in."""
    kept: list[tuple[str, str, str]] = []
    first_bad = ""
    for place, row in read_rows(file):
        report.read += 1
        name, *sides = row if len(row) == 3 else [file.name, *row]
        texts = [" ".join(side.split())[: settings.max_chars] for side in sides]
        if len(texts) != 2 or not all(texts):
            report.bad += 1
            first_bad = first_bad or f"{place}: {_complaint(row)}"
            continue
        if settings.source_weights.get(name, 1.0) <= 0:
            report.weighted_out += 1
            continue
        folded = [fold(text) for text in texts]
        hits = [title for title, known in held.items() if not known.isdisjoint(folded)]
        for title in hits:
            report.overlap[title] = report.overlap.get(title, 0) + 1
        if not hits:
            kept.append((name, texts[0], texts[1]))
    if report.bad > settings.bad_share * report.read:
        raise DocumentError(
            f"{file.place}: {report.bad} of {report.read} rows cannot be used, the first at {first_bad}; "
            "two columns (or three, the source first) with text are needed: "
            "mend the file or raise corpora.bad_share"
        )
    if not report.read:
        raise DocumentError(f"{file.place}: there is no row in it")
    _check_languages(file, [row[1:] for row in kept], settings)
    kept = _limited(kept, corpus.limit, settings.source_limits, seed)
    report.kept = len(kept)
    return kept


def _complaint(row: Sequence[str]) -> str:
    if len(row) not in (2, 3):
        return f"{len(row)} column{'s' if len(row) != 1 else ''}"
    return "an empty side"


def _limited(
    rows: list[tuple[str, str, str]], limit: int, source_limits: Mapping[str, int], seed: int
) -> list[tuple[str, str, str]]:
    """At most `limit` rows, and of each source at most its own limit, in their order."""
    rng = np.random.default_rng([seed, len(rows)])
    if source_limits:
        kept: list[int] = []
        by_source: dict[str, list[int]] = {}
        for i, row in enumerate(rows):
            by_source.setdefault(row[0], []).append(i)
        for name, numbers in by_source.items():
            most = source_limits.get(name, len(numbers))
            chosen = rng.permutation(numbers)[:most].tolist() if most < len(numbers) else numbers
            kept.extend(chosen)
        rows = [rows[i] for i in sorted(kept)]
    if limit and limit < len(rows):
        rows = [rows[i] for i in sorted(rng.permutation(len(rows))[:limit].tolist())]
    return rows


def _check_languages(
    file: BitextFile, sides: Iterable[tuple[str, ...]], settings: CorporaSettings
) -> None:
    columns = list(zip(*sides, strict=True))
    if not columns or not settings.language_share:
        return
    for code, texts in zip((settings.language, file.target), columns, strict=True):
        found = wrong_language(texts, code, settings.language_share)
        if found:
            raise DocumentError(
                f"{file.place}: {found}; name the right language (target), or lower corpora.language_share"
            )


def wrong_language(texts: Sequence[str], code: str, least: float, sample: int = 400) -> str:
    """Says so when fewer than `least` of the texts are in `code`; empty when it is right or unknown.

    Judged on running text (40 characters and more, spread over the file), where a detector can tell;
    a language that the detector does not know cannot be judged.
    """
    from indexer.text.languages import detect

    running = [text for text in texts if len(text) >= 40]
    if len(running) < 20:
        return ""
    step = max(1, len(running) // sample)
    found = detect(running[::step])
    counts: dict[str, int] = {}
    for name in found:
        counts[name] = counts.get(name, 0) + 1
    share = counts.get(code, 0) / len(found)
    top = max(counts, key=lambda name: counts[name])
    if share >= least or top == code or code in UNJUDGED:
        return ""
    return f"{share:.0%} of {len(found)} texts are in {code}, and {counts[top] / len(found):.0%} in {top}"


UNJUDGED = frozenset({"bo", "yi"})
"""Languages that have a name here but that py3langid's model never answers with."""


def _balanced(
    weight: NDArray[np.float64],
    language: NDArray[np.int16],
    entry: NDArray[np.int64],
    shares: NDArray[np.float64],
    temperature: float,
) -> NDArray[np.float64]:
    """Row weights with each language's sum raised to `temperature`; they sum to n.

    `entry` (n,): the corpora entry of each row, whose weights sum in proportion to `shares` where these are given;
    languages are balanced within it then.
    """
    if not len(weight):
        return weight
    groups = language.astype(np.int64)
    if shares.any():
        groups += entry * (groups.max() + 1)
    sums = np.bincount(groups, weights=weight)
    wanted = np.where(sums > 0, sums, 1.0) ** temperature
    scaled: NDArray[np.float64] = weight * (wanted / np.where(sums > 0, sums, 1.0))[groups]
    if shares.any():
        totals = np.bincount(entry, weights=scaled, minlength=len(shares))
        scaled *= (shares / np.where(totals > 0, totals, 1.0))[entry]
    balanced: NDArray[np.float64] = scaled * (len(weight) / scaled.sum())
    return balanced


def _line(report: FileReport) -> str:
    overlap = ", ".join(f"{name} {count}" for name, count in sorted(report.overlap.items()))
    return (
        f"{report.path}: {report.kept} pairs of {report.read} rows"
        f" (unusable {report.bad}, overlap {overlap or 0})"
    )


def _refuse_overlap(reports: Iterable[FileReport]) -> None:
    found = [_line(report) for report in reports if report.overlap]
    if found:
        raise DocumentError(
            "training texts stand in an evaluation set: "
            + "; ".join(found)
            + "; take them out or set corpora.overlap to remove"
        )
