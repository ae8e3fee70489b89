"""Choosing how the two sides are fused, from judgments, by cross-validation over queries.

Every candidate is measured once on every query, through the retriever; choosing is then a matter of
tables. In each fold the choice is made on the other folds and scored on this one, so that what is
reported for it is what it did on queries it had not seen.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from configs.errors import DocumentError
from configs.settings import FusionSettings
from eval.ranking.statistics import Paired, paired

__all__ = [
    "Candidate",
    "Choice",
    "Tuned",
    "candidates",
    "choose",
    "folds_of",
    "settings_of",
    "tune",
]

WEIGHTS = tuple(step / 10 for step in range(11))
RRF = (10, 30, 60, 100)
ENOUGH = 20
"""Queries of one language in the training folds before it may have a weight of its own."""

Method = Literal["learned", "interleave", "convex", "rrf", "minmax", "zscore", "combmnz"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """FusionSettings without weights for single languages."""

    method: Method
    lexical_weight: float
    rrf_k: int


Values = Mapping[str, float]  # query id -> value
Table = Mapping[Candidate, Values]


@dataclass(frozen=True, slots=True)
class Choice:
    """A candidate and, for some languages, the candidate of another weight that serves them."""

    common: Candidate
    languages: Mapping[str, Candidate] = field(default_factory=dict)

    def value(self, table: Table, query: str, language: str) -> float:
        return table[self.languages.get(language, self.common)][query]

    def settings(self) -> FusionSettings:
        weights = {lang: chosen.lexical_weight for lang, chosen in sorted(self.languages.items())}
        return settings_of(self.common, weights)


def settings_of(entry: Candidate, weights: Mapping[str, float] | None = None) -> FusionSettings:
    """The candidate as settings, with `weights` for single languages."""
    return FusionSettings(entry.method, entry.lexical_weight, entry.rrf_k, weights or {})


@dataclass(frozen=True, slots=True)
class Tuned:
    """What came out. `held_out` are the values of queries when they were not looked at."""

    choice: Choice
    folds: Sequence[Choice]
    held_out: Values
    against: Mapping[str, Paired]
    """Name of a gate -> the held-out values against it: "current", "lexical", "dense"."""

    @property
    def is_win(self) -> bool:
        """The whole interval of the gain over the current settings lies above 0, and no gate fails."""
        return self.against["current"].difference.low > 0 and not self.failed

    @property
    def failed(self) -> list[str]:
        """The gates that the choice stays below."""
        return [name for name, pair in self.against.items() if pair.difference.mean < 0]


def candidates(current: FusionSettings, crossing: bool) -> list[Candidate]:
    """The grid, `current` first. `crossing`: the index holds several languages.

    In one language `interleave` is `convex` in another scale, and is not searched a second time.
    """
    plain = Candidate(current.method, current.lexical_weight, current.rrf_k)
    grid = [plain]
    whole: tuple[Method, ...] = ("interleave", "convex") if crossing else ("interleave",)
    for method in whole:
        grid += [replace(plain, method=method, lexical_weight=weight) for weight in WEIGHTS]
    grid += [replace(plain, method="rrf", rrf_k=k) for k in RRF]
    lists: tuple[Method, ...] = ("minmax", "zscore", "combmnz")
    for method in lists:
        grid += [replace(plain, method=method, lexical_weight=weight) for weight in WEIGHTS[1:-1]]
    return list(dict.fromkeys(grid))


def folds_of(languages: Mapping[str, str], count: int = 5, seed: int = 0) -> list[list[str]]:
    """The queries in `count` folds, each language spread over all of them.

    Raises DocumentError when there are fewer than two queries a fold.
    """
    if len(languages) < 2 * count:
        raise DocumentError(
            f"{len(languages)} judged queries are too few for {count} folds; judge more, or say --folds "
            f"{max(2, len(languages) // 2)}"
        )
    groups: dict[str, list[str]] = defaultdict(list)
    for query in sorted(languages):
        groups[languages[query]].append(query)
    draw = random.Random(seed)
    folds: list[list[str]] = [[] for _ in range(count)]
    place = 0
    for language in sorted(groups):
        draw.shuffle(groups[language])
        for query in groups[language]:
            folds[place % count].append(query)
            place += 1
    return folds


def choose(
    table: Table, queries: Sequence[str], languages: Mapping[str, str], enough: int = ENOUGH
) -> Choice:
    """The candidate of the highest mean over `queries`; the first of equals, so the current settings.

    A language with at least `enough` queries gets the weight that serves it best where that gains more
    than two standard errors of the mean over the common weight: less is likely to be chance.
    """
    best = max(table, key=lambda entry: round(math.fsum(table[entry][q] for q in queries), 9))
    chosen: dict[str, Candidate] = {}
    kin = [entry for entry in table if replace(entry, lexical_weight=best.lexical_weight) == best]
    groups: dict[str, list[str]] = defaultdict(list)
    for query in queries:
        groups[languages[query]].append(query)
    for language, members in sorted(groups.items()):
        if not language or len(members) < enough or len(groups) < 2 or best.method == "rrf":
            continue
        own = max(kin, key=lambda entry: round(math.fsum(table[entry][q] for q in members), 9))
        gains = [table[own][query] - table[best][query] for query in members]
        if _beyond_error(gains):
            chosen[language] = own
    return Choice(best, chosen)


def _beyond_error(gains: Sequence[float]) -> bool:
    mean = math.fsum(gains) / len(gains)
    spread = math.sqrt(math.fsum((gain - mean) ** 2 for gain in gains) / (len(gains) - 1))
    return mean > 2 * spread / math.sqrt(len(gains))


def tune(
    table: Table,
    gates: Mapping[str, Values],
    languages: Mapping[str, str],
    count: int = 5,
    seed: int = 0,
    level: float = 0.95,
) -> Tuned:
    """Choose from `table` (candidate -> query -> value) by cross-validation over its queries.

    `gates` are what the choice has to beat ("current") or not to stay below ("lexical", "dense");
    `languages` holds each query's language.
    """
    folds = folds_of(languages, count, seed)
    held_out: dict[str, float] = {}
    choices = []
    for fold in folds:
        others = [query for other in folds if other is not fold for query in other]
        choice = choose(table, others, languages)
        choices.append(choice)
        held_out |= {query: choice.value(table, query, languages[query]) for query in fold}
    queries = sorted(held_out)
    ours = [held_out[query] for query in queries]
    against = {
        name: paired([values[query] for query in queries], ours, level)
        for name, values in gates.items()
    }
    return Tuned(choose(table, queries, languages), choices, held_out, against)
