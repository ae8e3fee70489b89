"""Passages for a student to learn from, where the corpora hold sentences: pairs put together.

A student that has read sentences only is poor at passages. The sentences of a corpus come in no order,
so these are passages on one topic (one source) and not one story.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from training.data.corpora import Pairs
from training.data.token_lists import Ragged

__all__ = ["SentenceLists", "with_passages"]

FEWEST, MOST = 2, 6
"""Pairs in a passage."""


def with_passages(
    pairs: Pairs, count: int, share: float, seed: int, characters: int = 700
) -> Pairs:
    """`pairs` and `count` passages of them, each of 2 to 6 pairs of one source and language.

    A passage has at most `characters` on its first side, its first pair apart. Together the passages
    have `share` of the weight; which pairs they are made of is drawn by weight, so they are in the
    languages and from the sources that the pairs are.
    """
    if not count:
        return pairs
    rng = np.random.default_rng([seed, 0x9A55])
    kinds = pairs.language.astype(np.int64) * len(pairs.origins) + pairs.origin  # (n,)
    order = np.argsort(kinds, kind="stable")
    starts = np.searchsorted(kinds[order], np.arange(kinds.max() + 2))
    firsts = rng.choice(len(pairs), count, p=pairs.weight / pairs.weight.sum())
    sources, targets = [], []
    for first in firsts.tolist():
        group = order[starts[kinds[first]] : starts[kinds[first] + 1]]
        rows = [first]
        length = len(pairs.sources[first])
        for row in group[rng.integers(len(group), size=rng.integers(FEWEST, MOST + 1) - 1)]:
            length += len(pairs.sources[row])
            if length > characters:
                break
            rows.append(int(row))
        sources.append(" ".join(pairs.sources[row] for row in rows))
        targets.append(" ".join(pairs.targets[row] for row in rows))
    weight = np.full(count, share / (1 - share) * pairs.weight.sum() / count)
    whole = np.concatenate([pairs.weight, weight])
    return dataclasses.replace(
        pairs,
        sources=[*pairs.sources, *sources],
        targets=[*pairs.targets, *targets],
        language=np.concatenate([pairs.language, pairs.language[firsts]]),
        origin=np.concatenate([pairs.origin, pairs.origin[firsts]]),
        weight=whole * (len(whole) / whole.sum()),
    )


SENTENCE = 6
"""Tokens from which on a text is taken for a sentence, and no entry of a dictionary."""
FEWEST_OTHERS, MOST_OTHERS = 3, 9
"""Other sentences in a passage of token lists."""


class SentenceLists:
    """Token lists of a static student's texts, some of which become passages as batches are drawn.

    A static student sums its tokens, so a passage is the tokens of its sentences end to end.
    """

    def __init__(self, lists: Ragged, groups: NDArray[np.integer]) -> None:
        """`groups` (lists,): the language of each, whose sentences may stand in one passage; -1: of none."""
        self.lists = lists
        self._groups = np.where(np.diff(lists.starts) >= SENTENCE, groups, -1)
        self._pools = [
            np.flatnonzero(self._groups == group)
            for group in range(int(groups.max(initial=-1)) + 1)
        ]

    def gather(
        self, rows: NDArray[np.integer], share: float, rng: np.random.Generator
    ) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """`Ragged.gather`, with `share` of those of `rows` that are sentences among 3 to 9 others, drawn by `rng`."""
        if not share:
            return self.lists.gather(rows)
        joined = (rng.random(len(rows)) < share) & (self._groups[rows] >= 0)
        counts = np.where(joined, rng.integers(FEWEST_OTHERS, MOST_OTHERS + 1, len(rows)), 0)
        parts: list[NDArray[np.integer]] = []
        for row, count in zip(rows, counts, strict=True):
            parts.append(np.array([row]))
            if count:
                pool = self._pools[self._groups[row]]
                parts.append(pool[rng.integers(len(pool), size=count)])
        ids, first = self.lists.gather(np.concatenate(parts))
        return ids, first[np.cumsum(counts + 1) - (counts + 1)]
