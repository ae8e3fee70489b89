"""Which examples each step reads: a pure function of the settings, so that a resumed run needs no more."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["Rows", "plan", "shuffled", "split_rows", "steps_of"]

Rows = NDArray[np.int64]

WINDOW = 64
"""Batches whose examples are sorted by length together."""


def steps_of(examples: int, batch_size: int, epochs: float, steps: int) -> int:
    """Steps a run takes: as given, or what the epochs come to; at least one."""
    return steps or max(1, math.ceil(examples * epochs / batch_size))


def plan(
    draw: Callable[[int], Rows],
    steps: int,
    batch_size: int,
    seed: int,
    lengths: NDArray[np.int64] | None = None,
) -> Rows:
    """The rows of every step, (steps, batch_size).

    `draw(epoch)` gives the rows of one epoch in random order. With `lengths`, one for each row there
    is, batches are made of rows of like length (it saves padding), and the batches are shuffled.
    """
    total = steps * batch_size
    parts: list[Rows] = []
    while sum(map(len, parts)) < total:
        parts.append(draw(len(parts)))
        assert len(parts[-1])
    rows = np.concatenate(parts)[:total]
    if lengths is not None:
        random = np.random.default_rng([seed, 0x1E46])
        span = WINDOW * batch_size
        for start in range(0, total, span):
            part = rows[start : start + span]
            batches = part[np.argsort(lengths[part], kind="stable")].reshape(-1, batch_size)
            rows[start : start + span] = random.permutation(batches).reshape(-1)
    return rows.reshape(steps, batch_size)


def shuffled(size: int, seed: int) -> Callable[[int], Rows]:
    """Epochs of `size` rows, each row once, in another order each time."""

    def draw(epoch: int) -> Rows:
        return np.random.default_rng([seed, epoch, 0x5EED]).permutation(size).astype(np.int64)

    return draw


def split_rows(size: int, aside: int, seed: int) -> tuple[Rows, Rows]:
    """(rows to train on, rows kept aside): at most `aside`, and at most a fifth. Both sorted."""
    order = np.random.default_rng([seed, 0x0DD]).permutation(size).astype(np.int64)
    kept = min(aside, size // 5)
    return np.sort(order[kept:]), np.sort(order[:kept])
