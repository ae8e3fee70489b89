"""Systems side by side on the same queries: means with intervals, tests of every pair, worst queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from configs.errors import DocumentError
from eval.ranking.relevance import System
from eval.ranking.statistics import Interval, bootstrap, holm, paired

__all__ = ["Comparison", "Row", "compare", "losses", "table"]


@dataclass(frozen=True, slots=True)
class Row:
    """One system's means, with intervals, by measure."""

    system: str
    task: str
    means: Mapping[str, Interval]


@dataclass(frozen=True, slots=True)
class Comparison:
    """`other` against `base` by one measure. `p_*` are corrected (Holm) over the whole table."""

    measure: str
    base: str
    other: str
    difference: Interval
    p_randomisation: float
    p_t: float
    effect: float
    wins: int
    ties: int
    losses: int
    significant: bool


def table(systems: Sequence[System], level: float = 0.95) -> list[Row]:
    """Each system's mean over queries and its bootstrap interval, for each measure."""
    rows = []
    for system in systems:
        means = {
            name: bootstrap(list(values.values()), level) for name, values in system.values.items()
        }
        rows.append(Row(system.name, system.task, means))
    return rows


def compare(systems: Sequence[System], level: float = 0.95) -> list[Comparison]:
    """Every pair of systems, the later one against the earlier, by every measure but judged@k.

    Both p values are corrected for all comparisons made. A difference is called significant when the
    corrected randomisation test says so at 1 - `level`. Raises DocumentError when tasks are mixed.
    """
    tasks = {system.task for system in systems}
    if len(tasks) > 1:
        raise DocumentError(
            "re-ranking of judged documents and retrieval from the whole index cannot be compared; "
            "make all runs with the same --task"
        )
    found = []
    for base, other in combinations(systems, 2):
        for name, values in base.values.items():
            if name.startswith("Judged"):
                continue
            theirs = [other.values[name][query] for query in values]
            tested = paired(list(values.values()), theirs, level)
            found.append((name, base.name, other.name, tested))
    randomisation = holm([pair.p_randomisation for *_, pair in found])
    t_test = holm([pair.p_t for *_, pair in found])
    return [
        Comparison(
            name,
            base_name,
            other_name,
            pair.difference,
            randomisation[row],
            t_test[row],
            pair.effect,
            pair.wins,
            pair.ties,
            pair.losses,
            randomisation[row] < 1 - level,
        )
        for row, (name, base_name, other_name, pair) in enumerate(found)
    ]


def losses(base: System, other: System, measure: str) -> list[tuple[str, float, float]]:
    """Queries where `other` is worse: (query, base's value, other's), the largest loss first."""
    before, after = base.values[measure], other.values[measure]
    rows = [(query, before[query], after[query]) for query in before]
    worse = [row for row in rows if row[1] - row[2] > 1e-9]
    return sorted(worse, key=lambda row: (row[2] - row[1], row[0]))
