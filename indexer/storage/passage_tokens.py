"""The tokens of every passage of a segment, for word alignment (`indexer.search.alignment`).

    tokens.bin           uint16, little-endian: each passage's token numbers, rising, as steps
    token_offsets.npy    int64, (passages + 1,): where each passage's steps begin in tokens.bin

Only the set of a passage's tokens matters to alignment, so each token is stored once. A step is the difference to
the token before it (to -1 for the first); 0 means that 65,535 is to be added to the next step. Most tokens so take
two bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from indexer.storage.arrays import load_array

__all__ = [
    "OFFSETS",
    "TOKENS",
    "TOKEN_FILES",
    "TokenSets",
    "TokenStore",
    "TokenWriter",
    "merge_tokens",
    "token_sets",
]

TOKENS, OFFSETS = "tokens.bin", "token_offsets.npy"
TOKEN_FILES = (TOKENS, OFFSETS)
_FAR = 65_535  # what a step of 0 adds
_STEP = np.dtype("<u2")


class TokenSets(NamedTuple):
    """The tokens of some passages, one passage after another; those of a passage are unique and rise."""

    flat: NDArray[np.int32]
    borders: NDArray[np.int64]
    """(passages + 1,): where each passage begins in `flat`."""


def token_sets(
    flat: NDArray[np.int32], borders: NDArray[np.int64], known: NDArray[np.bool_]
) -> TokenSets:
    """The tokens that are `known` (tokens,), each once a passage; `flat` may hold -1, which is dropped."""
    passage = np.repeat(np.arange(len(borders) - 1), np.diff(borders))
    kept = (flat >= 0) & (flat < len(known))
    kept[kept] = known[flat[kept]]
    both = np.unique((passage[kept] << 32) | flat[kept])
    owners = both >> 32
    return TokenSets(
        (both & 0xFFFFFFFF).astype(np.int32),
        np.searchsorted(owners, np.arange(len(borders))).astype(np.int64),
    )


def _steps(sets: TokenSets) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
    """`sets` as tokens.bin has them, and how many numbers each passage takes."""
    flat, borders = sets.flat.astype(np.int64), sets.borders
    before = np.empty_like(flat)
    before[1:] = flat[:-1]
    before[borders[:-1][np.diff(borders) > 0]] = -1
    gaps = flat - before - 1  # from 0
    far = gaps // _FAR
    places = np.cumsum(far + 1) - 1
    steps = np.zeros(int(places[-1]) + 1 if len(places) else 0, _STEP)
    steps[places] = gaps % _FAR + 1
    ends = np.r_[0, places + 1][borders]
    return steps, np.diff(ends)


class TokenWriter:
    """The tokens of a segment's passages as they come."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = (folder / TOKENS).open("wb")
        self._lengths: list[NDArray[np.int64]] = [np.zeros(1, np.int64)]

    def add(self, sets: TokenSets) -> None:
        steps, lengths = _steps(sets)
        self._file.write(steps.tobytes())
        self._lengths.append(lengths)

    def finish(self) -> None:
        self._file.close()
        offsets = np.cumsum(np.concatenate(self._lengths))
        np.save(self._folder / OFFSETS, offsets, allow_pickle=False)

    def abandon(self) -> None:
        self._file.close()


class TokenStore:
    """The tokens of every row of an index, memory-mapped. ValueError when the two files do not agree."""

    def __init__(self, folders: Sequence[Path], counts: Sequence[int]) -> None:
        """`counts`: the passages of each segment."""
        self._bases = np.cumsum([0, *counts])
        self._steps = []
        self._offsets = []
        for folder, passages in zip(folders, counts, strict=True):
            offsets = _offsets(folder, passages)
            size = int(offsets[-1])
            file = folder / TOKENS
            if file.stat().st_size != size * _STEP.itemsize:
                raise ValueError(
                    f"{folder.name}/{TOKENS}: {file.stat().st_size:,} bytes; {size * _STEP.itemsize:,} are expected"
                )
            steps = np.memmap(file, _STEP, "r") if size else np.zeros(0, _STEP)
            self._steps.append(np.asarray(steps))
            self._offsets.append(offsets)

    def __len__(self) -> int:
        return int(self._bases[-1])

    def check(self) -> None:
        """ValueError where a passage ends in a step that leads nowhere."""
        for steps, offsets in zip(self._steps, self._offsets, strict=True):
            ends = offsets[1:][np.diff(offsets) > 0] - 1
            if (steps[ends] == 0).any():
                raise ValueError(f"{TOKENS}: a passage ends in an unfinished step")

    def take(self, rows: NDArray[np.int64]) -> TokenSets:
        """The tokens of these rows, in their order."""
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(self):
            raise ValueError(f"row {rows.max()} of {len(self)} was asked for")
        if len(self._steps) == 1:
            starts, ends = self._offsets[0][rows], self._offsets[0][rows + 1]
            return _decoded(*_gathered(self._steps[0], starts, ends))
        segment = np.searchsorted(self._bases, rows, side="right") - 1
        starts, ends = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64)
        for s in np.unique(segment):
            mine = segment == s
            local = rows[mine] - self._bases[s]
            starts[mine], ends[mine] = self._offsets[s][local], self._offsets[s][local + 1]
        borders = np.r_[0, np.cumsum(ends - starts)]
        steps = np.zeros(int(borders[-1]), _STEP)
        for s in np.unique(segment):
            mine = segment == s
            places = _places(borders[:-1][mine], borders[1:][mine])
            steps[places] = _gathered(self._steps[s], starts[mine], ends[mine])[0]
        return _decoded(steps, borders)


def _offsets(folder: Path, passages: int) -> NDArray[np.int64]:
    found = np.array(load_array(folder / OFFSETS, np.dtype(np.int64), passages + 1))
    if found[0] != 0 or (np.diff(found) < 0).any():
        raise ValueError(f"{folder.name}/{OFFSETS}: its numbers do not rise from 0")
    return found


def _places(starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """start, start + 1, ..., end - 1 of each range, one range after another."""
    lengths = ends - starts
    after = np.cumsum(lengths)
    return np.repeat(starts - (after - lengths), lengths) + np.arange(
        after[-1] if len(after) else 0
    )


def _gathered(
    steps: NDArray[np.uint16], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
    return steps[_places(starts, ends)], np.r_[0, np.cumsum(ends - starts)]


def _decoded(steps: NDArray[np.uint16], borders: NDArray[np.int64]) -> TokenSets:
    """The tokens that `_steps` made these steps of; `borders` (passages + 1,) are those of the passages in `steps`."""
    far = steps == 0
    sums = np.zeros(len(steps) + 1, np.int64)
    np.cumsum(steps, out=sums[1:], dtype=np.int64)
    if far.any():
        sums[1:] += np.cumsum(far) * _FAR
    lengths = np.diff(borders)
    flat = sums[1:] - np.repeat(sums[borders[:-1]] + 1, lengths)
    if far.any():
        flat, borders = flat[~far], np.r_[0, np.cumsum(~far)][borders]
    return TokenSets(flat.astype(np.int32), borders)


def merge_tokens(folders: Sequence[Path], target: Path) -> None:
    """The tokens of several segments as those of one."""
    import shutil

    offsets = [np.zeros(1, np.int64)]
    with (target / TOKENS).open("wb") as out:
        for folder in folders:
            with (folder / TOKENS).open("rb") as tokens:
                shutil.copyfileobj(tokens, out, 2**24)
            mine = np.load(folder / OFFSETS, allow_pickle=False)
            offsets.append(mine[1:] + offsets[-1][-1])
    np.save(target / OFFSETS, np.concatenate(offsets), allow_pickle=False)
