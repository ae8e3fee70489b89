"""What the held-out texts say of a student: translation accuracy, or likeness as people judge it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from configs.errors import ConfigError
from configs.training import HeldOutSettings
from configs.training_corpora import CorporaSettings
from indexer.schema import Matrix
from indexer.vectors import unit_rows
from training.data.corpora import Pairs, read_pairs
from training.data.plain_texts import read_scored
from training.models.sentence_vectors import held_out_vectors
from training.run.collapse_alarm import health
from training.run.loop import Evaluation

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = ["Scored", "Translated", "open_held_out", "texts_of"]


@dataclass(frozen=True, slots=True)
class Translated:
    """Parallel sentences of one or more languages. The score is the mean accuracy, or the squared error to a teacher."""

    groups: tuple[tuple[str, list[str], list[str]], ...]  # (language, sources, targets)
    fixed: tuple[Matrix, ...] = ()
    """Each group's sources as a teacher sees them."""
    reads_sources: bool = True
    """Whether the student reads the language of the sources; if not, its targets are held against `fixed`."""
    led: Callable[[Matrix], Matrix] | None = None
    """What brings the student's vectors, (n, dim), to the teacher's space, where that is another one."""
    by_error: bool = False
    """Whether the score is the mean squared error to `fixed`, times -100, rather than accuracy."""

    def against(
        self,
        teacher: Callable[[list[str]], Matrix],
        *,
        reads_sources: bool = False,
        led: Callable[[Matrix], Matrix] | None = None,
        by_error: bool = False,
    ) -> Translated:
        """The same with the sources' vectors, (n, dim), from `teacher`."""
        fixed = tuple(teacher(sources) for _, sources, _ in self.groups)
        return replace(self, fixed=fixed, reads_sources=reads_sources, led=led, by_error=by_error)

    def evaluate(self, model: SentenceTransformer) -> Evaluation:
        """Accuracy within each language, both ways, the error to a teacher, and the health of the student's vectors."""
        own: list[NDArray[np.float32]] = []  # of the student
        ways: list[tuple[float, float]] = []
        figures: dict[str, float] = {}
        errors: list[float] = []
        for number, (language, left, right) in enumerate(self.groups):
            targets = held_out_vectors(model, right)
            read = [targets, held_out_vectors(model, left)] if self.reads_sources else [targets]
            own += read
            if self.led is not None:
                read = [self.led(vectors) for vectors in read]
                targets = read[0]
            if self.fixed:
                errors += [
                    float(np.square(vectors - self.fixed[number]).mean()) for vectors in read
                ]
            sources = read[1] if self.reads_sources else self.fixed[number]
            found = health(sources, targets)
            assert (
                found.accuracy is not None and found.forward is not None and found.back is not None
            )
            ways.append((found.forward, found.back))
            if len(self.groups) > 1:
                figures[f"accuracy_{language}"] = found.accuracy
        forward, back = np.mean(ways, axis=0)
        whole = replace(health(np.concatenate(own)), forward=float(forward), back=float(back))
        assert whole.accuracy is not None
        if errors:
            figures["squared_error"] = float(np.mean(errors))
        score = -100 * figures["squared_error"] if self.by_error else whole.accuracy
        return Evaluation(score, figures, whole)


@dataclass(frozen=True, slots=True)
class Scored:
    """Pairs with people's scores. The score is Spearman's correlation with the cosine."""

    firsts: list[str]
    seconds: list[str]
    scores: list[float]

    def evaluate(self, model: SentenceTransformer) -> Evaluation:
        from scipy.stats import spearmanr

        first = unit_rows(held_out_vectors(model, self.firsts))
        second = unit_rows(held_out_vectors(model, self.seconds))
        cosines = (first * second).sum(axis=1)  # (n,)
        # a collapsed student has one cosine only; scipy then warns and answers nan
        same = float(np.ptp(cosines)) == 0.0
        score = 0.0 if same else float(spearmanr(cosines, self.scores).statistic)
        return Evaluation(score, {}, health(np.concatenate([first, second])))


def open_held_out(
    settings: HeldOutSettings, corpora: CorporaSettings, aside: Pairs | None
) -> Translated | Scored | None:
    """As the settings say: scored pairs, files of pairs, or the pairs that were kept aside, or none."""
    if settings.scored:
        return Scored(*read_scored(settings.scored, settings.limit))
    if settings.pairs:
        # never trained on, so there is no overlap to look for
        files = CorporaSettings(files=settings.pairs, language=corpora.language)
        return _grouped(read_pairs(files), settings.limit)
    if aside is None or len(aside) < 2:
        return None
    return _grouped(aside, settings.limit)


def _grouped(pairs: Pairs, limit: int) -> Translated:
    groups = []
    for number, language in enumerate(pairs.languages):
        rows = np.flatnonzero(pairs.language == number)[:limit]
        if len(rows) >= 2:
            chosen = pairs.take(rows)
            groups.append((language, chosen.sources, chosen.targets))
    if not groups:
        raise ConfigError("held_out: at least two pairs of a language are needed")
    return Translated(tuple(groups))


def texts_of(held_out: Translated | Scored | None) -> Sequence[str]:
    """Every text of it, for the digest of a run's data."""
    if held_out is None:
        return []
    if isinstance(held_out, Scored):
        return [*held_out.firsts, *held_out.seconds]
    return [text for _, left, right in held_out.groups for text in (*left, *right)]
