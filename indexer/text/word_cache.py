"""The words of texts, thousands of texts at a time: what is known of each word, by number.

Most words of a collection come again and again. To look each up in a dictionary, build its list and join it
took half of a build; here texts are cut, looked up and put together again by numpy, all words of a batch at
once, and only a word that was never seen becomes a string. What is known of a word stands in columns, each
a long array in which the rows of the words follow one another.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = [
    "ALONE",
    "BETWEEN",
    "INSIDE",
    "JOINED",
    "LONGEST",
    "Cut",
    "Pieces",
    "Rows",
    "cut",
    "kinds",
    "portions",
]

# What a letter is: between pieces, part of one, one by itself, part of one but never the first of it, part of one
# where a piece stands before it and a letter that is INSIDE after it.
OUTSIDE, INSIDE, ALONE, JOINED, BETWEEN = range(5)
# Pieces that are remembered (some 150 bytes each), and the longest of them, in characters: longer ones are
# sentences of scripts without spaces, which do not come again.
REMEMBERED, LONGEST = 600_000, 24
_LETTERS = 2**20  # letters cut at a time, so that the powers of the hash stay few
_BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2^64
_MIXED = np.uint64(0xD6E8FEB86659FD93)
_GROUP = np.uint64(0xC2B2AE3D27D4EB4F)

Integers = NDArray[np.int64]
Learn = Callable[
    [list[str], int], Sequence[Sequence[bytes]]
]  # (pieces, group) -> each column's rows


class Cut(NamedTuple):
    """Texts cut into pieces; every array has an entry a piece but the last."""

    joined: str
    letters: NDArray[np.uint32]  # of `joined`
    starts: Integers  # in `joined`
    lengths: Integers
    hashes: NDArray[np.uint64]
    borders: Integers  # (texts + 1,): the first piece of each text


class Rows(NamedTuple):
    """What a column has for the pieces of each text, one text after another."""

    flat: NDArray[Any]
    borders: Integers  # (texts + 1,), in `flat`


def portions(texts: Sequence[str]) -> Iterator[slice]:
    """The texts in a few portions, each of a million letters or of one text."""
    first = letters = 0
    for i, text in enumerate(texts):
        if i > first and letters + len(text) > _LETTERS:
            yield slice(first, i)
            first, letters = i, 0
        letters += len(text)
    if texts:
        yield slice(first, len(texts))


_powers: tuple[NDArray[np.uint64], NDArray[np.uint64]] | None = None  # of the base, of its inverse


def _powers_to(count: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    global _powers
    if _powers is None or len(_powers[0]) < count:
        size = max(count, _LETTERS // 4)
        both = [np.full(size, base, np.uint64) for base in (_BASE, pow(_BASE, -1, 2**64))]
        _powers = np.multiply.accumulate(both[0]), np.multiply.accumulate(both[1])
    return _powers


def kinds(points: int, classes: Mapping[int, str]) -> NDArray[np.uint8]:
    """The kind of every letter below `points`, and of all the others, by regular expressions of letters."""
    table = np.full(points + 1, OUTSIDE, np.uint8)
    letters = "".join(map(chr, range(points)))
    for kind, pattern in classes.items():
        for found in re.finditer(f"(?:{pattern})+", letters):
            table[found.start() : found.end()] = kind
    return table


def cut(texts: Sequence[str], table: NDArray[np.uint8]) -> Cut:
    """The pieces of each text by the `kinds` of its letters, each with a number that equal pieces share."""
    joined = "\n".join(("", *texts, ""))
    letters = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32)
    kind = table.take(letters, mode="clip")
    inside = (kind == INSIDE) | (kind == JOINED)
    first = np.flatnonzero(inside[1:] & ~inside[:-1]) + 1
    for at in first[kind[first] == JOINED].tolist():  # nothing before it that it could join
        while kind[at] == JOINED:
            inside[at] = False
            at += 1
    between = np.flatnonzero(kind[1:-1] == BETWEEN) + 1
    inside[between[inside[between - 1] & (kind[between + 1] == INSIDE)]] = True
    alone = kind == ALONE
    begins, ends = alone.copy(), alone
    begins[1:] |= inside[1:] & ~inside[:-1]
    ends[:-1] |= inside[:-1] & ~inside[1:]
    starts = np.flatnonzero(begins)
    powers, inverses = _powers_to(len(letters))
    values = letters * powers[: len(letters)]
    values *= inside | (kind == ALONE)
    hashes = np.zeros(0, np.uint64)
    if len(starts):
        hashes = np.add.reduceat(values, starts) * inverses[starts]
    lengths = np.fromiter(map(len, texts), np.int64, len(texts)) + 1
    borders: Integers = np.asarray(
        np.searchsorted(starts, np.r_[1, 1 + np.cumsum(lengths)]), np.int64
    )
    return Cut(joined, letters, starts, np.flatnonzero(ends) + 1 - starts, hashes, borders)


class _Column:
    """Rows of different lengths one after another, with room for more."""

    def __init__(self, dtype: DTypeLike) -> None:
        self.flat = np.zeros(1024, dtype)
        self.ends = np.zeros(1025, np.int64)  # [i], [i + 1]: where row i begins and ends
        self.size = 0

    def append(self, block: NDArray[Any], lengths: Integers) -> None:
        used, more = int(self.ends[self.size]), len(lengths)
        self.flat = _with_room(self.flat, used + len(block))
        self.ends = _with_room(self.ends, self.size + more + 1)
        self.flat[used : used + len(block)] = block
        self.ends[self.size + 1 : self.size + more + 1] = used + np.cumsum(lengths)
        self.size += more

    def take(self, rows: NDArray[np.int32]) -> tuple[NDArray[Any], Integers]:
        """These rows one after another, and where each begins, with the end of the last."""
        begins = self.ends[rows]
        lengths = self.ends[1:][rows] - begins
        borders = np.zeros(len(rows) + 1, np.int64)
        np.cumsum(lengths, out=borders[1:])
        places = np.repeat(begins - borders[:-1], lengths)
        places += np.arange(len(places))
        return self.flat[places], borders


def _with_room(array: NDArray[Any], size: int) -> NDArray[Any]:
    if size <= len(array):
        return array
    grown = np.zeros(max(size, len(array) * 3 // 2), array.dtype)
    grown[: len(array)] = array
    return grown


class Pieces:
    """What `learn` says of pieces, asked once for each piece of a group (a language) and remembered.

    Not for two threads at a time.
    """

    def __init__(self, learn: Learn, columns: Sequence[DTypeLike], most: int = REMEMBERED) -> None:
        self._learn = learn
        self._types = [np.dtype(each) for each in columns]
        self._most = most
        self._clock = 0
        self._begin()

    def _begin(self) -> None:
        self._hashes = np.zeros(1024, np.uint64)
        self._used = np.zeros(1024, np.int64)  # the last call that asked for it
        self._groups = np.zeros(1024, np.int32)
        self._letters = _Column(np.uint32)
        self._columns = [_Column(dtype) for dtype in self._types]
        self._kept = 0  # pieces in the table; those after them are of the last call only
        self._table = np.full(2**12, -1, np.int32)

    def __len__(self) -> int:
        return self._kept

    def look_up(self, found: Cut, groups: Sequence[int]) -> list[Rows]:
        """Each column's rows for the texts of `found`; `groups` has one number a text."""
        self._clock += 1
        self._forget()
        counts = np.diff(found.borders)
        group = np.repeat(np.asarray(groups, np.int32), counts)
        hashes = found.hashes + group.astype(np.uint64) * _GROUP
        numbers = self._find(hashes)
        missing = np.flatnonzero(numbers < 0)
        if len(missing):
            _, first, which = np.unique(hashes[missing], return_index=True, return_inverse=True)
            numbers[missing] = self._learned(found, missing[first], group, hashes)[which]
        wrong = self._misread(found, numbers, group)
        if len(wrong):  # two pieces have one hash
            numbers[wrong] = self._learned(found, wrong, group, hashes, keep=False)
        self._used[numbers] = self._clock
        rows = []
        for column in self._columns:
            flat, borders = column.take(numbers)
            rows.append(Rows(flat, borders[found.borders]))
        return rows

    def _learned(
        self,
        found: Cut,
        places: Integers,
        group: NDArray[np.int32],
        hashes: NDArray[np.uint64],
        keep: bool = True,
    ) -> NDArray[np.int32]:
        """The numbers of these pieces, which are new."""
        starts, lengths, joined = found.starts[places], found.lengths[places], found.joined
        brief = (lengths <= LONGEST) & keep
        # Those that are kept first; within them, those of a group together.
        order = np.lexsort((group[places], ~brief))
        places, starts, lengths = places[order], starts[order], lengths[order]
        pieces = [joined[a : a + n] for a, n in zip(starts.tolist(), lengths.tolist(), strict=True)]
        mine = group[places]
        edges = np.flatnonzero(np.diff(mine, prepend=-1, append=-1)).tolist()
        columns: list[list[bytes]] = [[] for _ in self._columns]
        for a, b in itertools.pairwise(edges):
            for column, more in zip(columns, self._learn(pieces[a:b], int(mine[a])), strict=True):
                column += more
        at, size = self._letters.size, self._letters.size + len(places)
        for target, rows in zip(self._columns, columns, strict=True):
            block = np.frombuffer(b"".join(rows), target.flat.dtype)
            widths = np.fromiter(map(len, rows), np.int64, len(rows)) // target.flat.itemsize
            target.append(block, widths)
        text = "".join(pieces).encode("utf-32-le", "surrogatepass")
        self._letters.append(np.frombuffer(text, np.uint32), lengths)
        self._hashes = _with_room(self._hashes, size)
        self._used = _with_room(self._used, size)
        self._groups = _with_room(self._groups, size)
        self._hashes[at:size] = hashes[places]
        self._groups[at:size] = mine
        if keep:
            self._kept = at + int(brief.sum())
            self._insert(np.arange(at, self._kept, dtype=np.int32))
        numbers = np.empty(len(places), np.int32)
        numbers[order] = np.arange(at, size)
        return numbers

    # -- the table: open addressing, all at once ----------------------------------------------------

    def _places(self, hashes: NDArray[np.uint64]) -> Integers:
        shift = np.uint64(64 - (len(self._table).bit_length() - 1))
        return ((hashes * _MIXED) >> shift).astype(np.int64)

    def _find(self, hashes: NDArray[np.uint64]) -> NDArray[np.int32]:
        """The number of each hash; -1 for none."""
        places = self._places(hashes)
        found = self._table[places]
        wrong = np.flatnonzero((found >= 0) & (self._hashes[found] != hashes))
        while len(wrong):
            places[wrong] = (places[wrong] + 1) % len(self._table)
            found[wrong] = self._table[places[wrong]]
            wrong = wrong[(found[wrong] >= 0) & (self._hashes[found[wrong]] != hashes[wrong])]
        return found

    def _insert(self, numbers: NDArray[np.int32]) -> None:
        if 3 * self._kept > len(self._table):
            self._table = np.full(2 ** (5 * self._kept).bit_length(), -1, np.int32)
            numbers = np.arange(self._kept, dtype=np.int32)
        waiting, wanted = numbers, self._places(self._hashes[numbers])
        while len(waiting):  # who finds a place taken tries the next one
            free = self._table[wanted] < 0
            self._table[wanted[free]] = waiting[free]  # the last one of several stays
            left = self._table[wanted] != waiting
            waiting, wanted = waiting[left], (wanted[left] + 1) % len(self._table)

    def _misread(
        self, found: Cut, numbers: NDArray[np.int32], group: NDArray[np.int32]
    ) -> Integers:
        """Which pieces are not, letter by letter, what stands under their number."""
        begins = self._letters.ends[numbers]
        lengths = self._letters.ends[1:][numbers] - begins
        same = (lengths == found.lengths) & (self._groups[numbers] == group)
        if not same.all():
            wrong = np.flatnonzero(~same)
            rest = np.flatnonzero(same)
        else:
            wrong, rest = np.zeros(0, np.int64), np.arange(len(numbers))
        lengths, begins, starts = lengths[rest], begins[rest], found.starts[rest]
        ends = np.cumsum(lengths)
        total = int(ends[-1]) if len(ends) else 0
        along = np.arange(total)
        here = np.repeat(starts - (ends - lengths), lengths) + along
        there = np.repeat(begins - (ends - lengths), lengths) + along
        differs = np.flatnonzero(found.letters[here] != self._letters.flat[there])
        if len(differs):
            guilty = np.unique(np.searchsorted(ends, differs, side="right"))
            wrong = np.r_[wrong, rest[guilty]]
        return wrong

    def _forget(self) -> None:
        """Drop what was of one call only; of too many pieces, those that were not asked for the longest."""
        if self._kept > self._most:
            newest = np.argsort(-self._used[: self._kept], kind="stable")[: self._most // 2]
            kept = np.sort(newest).astype(np.int32)
        elif self._letters.size > self._kept:
            for column in (self._letters, *self._columns):
                column.size = self._kept
            return
        else:
            return
        old = self._hashes[kept], self._used[kept], self._groups[kept]
        columns = [column.take(kept) for column in (self._letters, *self._columns)]
        self._begin()
        for target, (flat, borders) in zip((self._letters, *self._columns), columns, strict=True):
            target.append(flat, np.diff(borders))
        self._hashes, self._used, self._groups = old
        self._kept = len(kept)
        self._insert(np.arange(self._kept, dtype=np.int32))
