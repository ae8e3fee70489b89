"""What a Unigram tokenizer makes of words, thousands at a time, with numpy.

The tokenizers library asks a tree of hash maps for every word by itself, some 15 µs each; here the words of
a batch go through each step together, some 3 µs each. The answers are that library's own: the same sums in
the same order (Kudo 2018, and `Unigram::encode_optimized` of tokenizers), every piece compared letter by
letter before it is believed. What is not surely the same is left to the library: see `_UNSURE`.
"""

from __future__ import annotations

import functools
import itertools
import json
import math
import re
import string
import unicodedata
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.text.word_cache import ALONE, INSIDE, Cut, cut, kinds

__all__ = ["STATIC", "XLMR", "Unigram"]

_SPACE = "\u2581"  # stands for the space before a word
_LONGEST = 200  # characters of a word that is read here
_FEW = 64  # words up to which each is gone through by itself
_WORD = 2**64 - 1
_UNKNOWN = 10.0  # how much worse than the worst piece an unknown letter is
# Where the library's tables of letters and punctuation and Python's are not of one version of Unicode, or
# may not be one day; and the letter that the library puts before words.
_UNSURE = (
    "[\x1c-\x1f\u2581\u061d\u09fd\u0a76\u0c77\u0c84\u0eba\u166d\u1b7d\u1b7e\u1c80-\u1c8f\u2e40-\u2e7f\u32ff\ua7c0-\ua7f7"
    "\uab60-\uab6f\ud800-\udfff\U00010000-\U0001efff\U0001f16c\U0001fb00-\U0010ffff]"
)
_SIGMA = "\u03a3"  # Python lowers it to another letter at the end of a word; the library does not
_MIXED = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio, odd
_ARRAYS = ("scores", "letters", "lengths", "starts", "begun", "keys", "ids")
_STEP = np.uint64(0xD6E8FEB86659FD93)
_TIE = 1e-9  # the library reads the scores of its file one bit less exactly than Python
STATIC = (
    {"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Lowercase"}]},
    {
        "type": "Sequence",
        "pretokenizers": [
            {"type": "WhitespaceSplit"},
            {"type": "Punctuation", "behavior": "Isolated"},
            {
                "type": "Metaspace",
                "replacement": _SPACE,
                "prepend_scheme": "always",
                "split": True,
            },
        ],
    },
)
"""Steps before the model in a static student's tokenizer: words end at spaces and at punctuation."""
XLMR = (
    {
        "type": "Sequence",
        "normalizers": [
            {
                "type": "Replace",
                "pattern": {"Regex": r"[\x01-\x08\x0b\x0e-\x1f\x7f\x8f\x9f]"},
                "content": "",
            },
            {
                "type": "Replace",
                "pattern": {
                    "Regex": r"[\t\n\x0c\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]"
                },
                "content": " ",
            },
            {"type": "NFKC"},
            {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
        ],
    },
    {
        "type": "Metaspace",
        "replacement": _SPACE,
        "prepend_scheme": "always",
        "split": True,
    },
)
"""XLM-R's steps (SentencePiece's nmt_nfkc): words end at spaces alone, and case is kept."""

Integers = NDArray[np.int64]


def _punctuation() -> str:
    """Every letter of Unicode's punctuation and ASCII's, as ranges of a character class."""
    ranges: list[list[int]] = []
    for point in range(0x20, 0x1F000):
        letter = chr(point)
        if letter in string.punctuation or unicodedata.category(letter)[0] == "P":
            if ranges and ranges[-1][1] == point - 1:
                ranges[-1][1] = point
            else:
                ranges.append([point, point])
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges)


class Unigram:
    """The pieces of a vocabulary and their scores; `None` from `of` for any other kind of tokenizer."""

    def __init__(
        self, vocabulary: Sequence[tuple[str, float]], unknown: int, added: Sequence[str] = ()
    ) -> None:
        pieces = [piece for piece, _ in vocabulary]
        self._scores = np.array([score for _, score in vocabulary], np.float64)
        self._letters = np.frombuffer("".join(pieces).encode("utf-32-le"), np.uint32)
        self._lengths = np.array([len(piece) for piece in pieces], np.int64)
        self._starts = np.cumsum(self._lengths) - self._lengths
        self._build()
        self._prepare(unknown, added, _punctuation())

    def _prepare(self, unknown: int, added: Sequence[str], marks: str) -> None:
        self._unknown, self._added, self._marks = unknown, list(added), marks
        self._worst = float(self._scores.min()) - _UNKNOWN
        self._shift = np.uint64(65 - len(self._keys).bit_length())
        self._begun_shift = np.uint64(65 - len(self._begun).bit_length())
        self._unsure = re.compile("|".join([_UNSURE, *map(re.escape, added)])).search
        self._words = re.compile(rf"[^\s{marks}]+|[{marks}]")

    def __len__(self) -> int:
        return len(self._scores)

    def pieces(self) -> list[str]:
        """The text of each piece, by its number."""
        text = np.ascontiguousarray(self._letters).tobytes().decode("utf-32-le", "replace")
        starts = self._starts.tolist()
        return [text[a : a + n] for a, n in zip(starts, self._lengths.tolist(), strict=True)]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All that there is to it, for `opened`."""
        facts = json.dumps([self._unknown, self._added, self._marks]).encode()
        return {
            "facts": np.frombuffer(facts, np.uint8),
            **{name: getattr(self, f"_{name}") for name in _ARRAYS},
        }

    @classmethod
    def opened(cls, arrays: Mapping[str, NDArray[Any]]) -> Unigram:
        """The model whose `arrays` these are; they are not copied."""
        model = cls.__new__(cls)
        for name in _ARRAYS:
            setattr(model, f"_{name}", arrays[name])
        model._sound = True
        model._prepare(*json.loads(arrays["facts"].tobytes()))
        return model

    @classmethod
    def of(cls, tokenizer: Mapping[str, Any], steps: tuple[Any, Any] = STATIC) -> Unigram | None:
        """The model of a tokenizer.json; None when its steps before the model are not `steps`."""
        model = tokenizer["model"]
        added = tokenizer.get("added_tokens") or []
        if (
            model.get("type") != "Unigram"
            or model.get("byte_fallback")
            or model.get("unk_id") is None
            or (tokenizer.get("normalizer"), tokenizer.get("pre_tokenizer")) != steps
            or any(token.get("normalized", True) for token in added)
            or any(token["id"] >= len(model["vocab"]) for token in added)
        ):
            return None
        made = cls(model["vocab"], int(model["unk_id"]), [token["content"] for token in added])
        return made if made._sound else None

    def _build(self) -> None:
        """Two tables by the hash of a string: the pieces, and whether a piece begins so."""
        order = np.argsort(-self._lengths, kind="stable")
        lengths, starts = self._lengths[order], self._starts[order]
        bits = max(12, int(np.ceil(np.log2(len(order) * 3))))
        shift, begun_shift = np.uint64(64 - bits), np.uint64(64 - bits - 3)
        self._begun = np.zeros(2 ** (bits + 3), np.bool_)  # by hash: a piece may go on from here
        hashes = np.zeros(len(order), np.uint64)
        for length in range(1, int(self._lengths.max(initial=0)) + 1):
            so_long = int(np.searchsorted(-lengths, -length, side="right"))
            letters = self._letters[starts[:so_long] + length - 1].astype(np.uint64)
            hashes[:so_long] = (hashes[:so_long] * _STEP) + letters + np.uint64(1)
            longer = int(np.searchsorted(-lengths, -length - 1, side="right"))
            self._begun[(hashes[:longer] * _MIXED) >> begun_shift] = True
        ordered = np.sort(hashes)
        self._sound = bool((ordered[1:] != ordered[:-1]).all())  # no two pieces have one
        self._keys = np.zeros(2**bits, np.uint64)
        self._ids = np.full(2**bits, -1, np.int32)
        # Open addressing, all at once: who finds a place taken tries the next one.
        waiting = order.astype(np.int32)
        wanted = ((hashes * _MIXED) >> shift).astype(np.int64)
        while len(waiting):
            free = self._ids[wanted] < 0
            self._ids[wanted[free]] = waiting[free]  # the last one of several stays
            mine = self._ids[wanted] == waiting
            self._keys[wanted[mine]] = hashes[mine]
            waiting, wanted, hashes = waiting[~mine], (wanted[~mine] + 1) % 2**bits, hashes[~mine]

    def _find(self, hashes: NDArray[np.uint64]) -> NDArray[np.int32]:
        """The piece of each hash, -1 for none."""
        places = ((hashes * _MIXED) >> self._shift).astype(np.int64)
        found = self._ids[places]
        wrong = np.flatnonzero((found >= 0) & (self._keys[places] != hashes))
        while len(wrong):
            places[wrong] = (places[wrong] + 1) % len(self._ids)
            found[wrong] = self._ids[places[wrong]]
            wrong = wrong[(found[wrong] >= 0) & (self._keys[places[wrong]] != hashes[wrong])]
        return found

    @staticmethod
    def fold(text: str) -> str:
        """Compatibility forms unified and letters lowered, each by itself."""
        folded = unicodedata.normalize("NFKC", text)
        if _SIGMA not in folded:
            return folded.lower()
        return "\u03c3".join(part.lower() for part in folded.split(_SIGMA))

    def words(self, pieces: Sequence[str]) -> tuple[dict[str, str], dict[str, list[str]]]:
        """What the tokenizer looks up for pieces of text between white space: folded, split at punctuation.

        The pieces that are one word, and those that are several or none, in order. Pieces that only the
        library can be asked about are in neither.
        """
        joined = "\n".join(pieces)
        folded = self.fold(joined)
        table = dict(zip(pieces, folded.split("\n"), strict=True))
        if self._unsure(joined) or self._unsure(folded):
            for piece, text in list(table.items()):
                if self._unsure(piece) or self._unsure(text):
                    del table[piece]
        divided = {
            piece: self._words.findall(text) for piece, text in table.items() if not text.isalpha()
        }
        for piece in divided:
            del table[piece]
        return table, divided

    @functools.cached_property
    def _kinds(self) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Of letters, as `words` has them; and which ones are unsure, all of the third plane and on included."""
        marks = self._marks
        doubtful = kinds(0x20000, {INSIDE: _UNSURE}) == INSIDE
        doubtful[-1] = True
        return kinds(0x20000, {INSIDE: rf"[^\s{marks}]", ALONE: f"[{marks}]"}), doubtful

    def cut(self, texts: Sequence[str]) -> tuple[Cut, list[int]]:
        """The words of texts, as the tokenizer looks them up; and the texts, left out, that only the library
        can read."""
        unsure = self._unsure_of(texts)
        folded = list(map(self.fold, texts))
        for i in unsure:
            folded[i] = ""
        if more := self._unsure_of(folded):
            unsure += more
            for i in more:
                folded[i] = ""
        return cut(folded, self._kinds[0]), sorted(unsure)

    def _unsure_of(self, texts: Sequence[str]) -> list[int]:
        joined = "\n".join(texts)
        letters = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32)
        if not self._kinds[1].take(letters, mode="clip").any() and not any(
            token in joined for token in self._added
        ):
            return []
        return [i for i, text in enumerate(texts) if self._unsure(text)]

    def ids(self, words: Sequence[str]) -> list[bytes | None]:
        """The tokens of each word (as `cut` and `words` give them), int32; None where the library must be asked."""
        if len(words) <= _FEW:
            return [self._best_of(word) if len(word) < _LONGEST else None for word in words]
        found: list[bytes | None] = [None] * len(words)
        short = [i for i, word in enumerate(words) if len(word) < _LONGEST]
        for start in range(0, len(short), 4096):
            batch = short[start : start + 4096]
            for i, tokens in zip(batch, self._best([words[i] for i in batch]), strict=True):
                found[i] = tokens
        return found

    def _best_of(self, word: str) -> bytes | None:
        """What `_best` gives for one word, in the same steps: the few of a query take a fifth of its time."""
        text = _SPACE + word
        letters = list(map(ord, text))
        keys, ids, begun, scores = (
            self._keys.data,
            self._ids.data,
            self._begun.data,
            self._scores.data,
        )
        shift, begun_shift, mixed, step = map(int, (self._shift, self._begun_shift, _MIXED, _STEP))
        best, chosen, tied = [-math.inf] * (len(text) + 1), [(0, -1)] * (len(text) + 1), set()
        best[0] = 0.0
        for start in range(len(text)):
            code = 0
            for end in range(start + 1, len(text) + 1):
                code = (code * step + letters[end - 1] + 1) & _WORD
                place = (spread := (code * mixed) & _WORD) >> shift
                while (piece := ids[place]) >= 0 and keys[place] != code:
                    place = (place + 1) % len(ids)
                if piece >= 0 or end == start + 1:
                    gain = (
                        reached := best[start] + (scores[piece] if piece >= 0 else self._worst)
                    ) - best[end]
                    if abs(gain) <= _TIE:
                        tied.add(end)
                    elif gain > 0:
                        tied.discard(end)
                    if gain > 0:
                        best[end], chosen[end] = reached, (start, piece)
                if not begun[spread >> begun_shift]:
                    break
        tokens: list[int] = []
        end = len(text)
        while end:
            start, piece = chosen[end]
            if end in tied or (piece >= 0 and self.piece(piece) != text[start:end]):
                return None
            if piece >= 0:
                tokens.append(piece)
            elif not tokens or tokens[-1] != -1:
                tokens.append(piece)  # unknown letters that follow one another are one token
            end = start
        known = [token if token >= 0 else self._unknown for token in reversed(tokens)]
        return array("i", known).tobytes()

    def piece(self, number: int) -> str:
        """The text of one piece."""
        start = int(self._starts[number])
        letters = self._letters[start : start + int(self._lengths[number])]
        return letters.tobytes().decode("utf-32-le", "replace")

    def _best(self, words: Sequence[str]) -> list[bytes | None]:
        if not words:
            return []
        text = f"{_SPACE}{_SPACE.join(words)}"
        letters = np.frombuffer(text.encode("utf-32-le"), np.uint32)
        lengths = np.array([len(word) for word in words], np.int64) + 1
        ends = np.cumsum(lengths)
        bases = ends - lengths
        assert len(letters) == ends[-1]
        starts, stops, ids = self._candidates(letters, np.repeat(ends, lengths))
        # One step for each place in a word, all words together; the places of a word follow one another in
        # `score`, with one more for its end.
        shift = np.repeat(np.arange(len(words)), lengths)  # places that words before have for ends
        offset = np.arange(len(letters)) - np.repeat(bases, lengths)
        order = np.argsort(offset[starts], kind="stable")
        starts, stops, ids = starts[order], stops[order], ids[order]
        steps = np.searchsorted(offset[starts], np.arange(int(lengths.max()) + 1))
        scores = np.where(ids == -1, self._worst, self._scores[ids])
        tos, froms = stops + shift[starts], starts + shift[starts]
        best = np.full(len(letters) + len(words), -np.inf)
        best[bases + np.arange(len(words))] = 0.0
        chosen = np.full(len(best), -1, np.int64)
        tied = np.zeros(len(best), np.bool_)
        for first, last in zip(steps[:-1].tolist(), steps[1:].tolist(), strict=True):
            to = tos[first:last]
            reached = scores[first:last] + best[froms[first:last]]
            gain = reached - best[to]
            better = np.flatnonzero(gain > 0)
            tied[to] = np.where(np.abs(gain) <= _TIE, True, tied[to] & (gain < 0))
            to = to[better]
            best[to] = reached[better]
            chosen[to] = better + first
        return self._walked(letters, lengths, chosen, tied, froms, starts, stops, ids)

    def _candidates(
        self, letters: NDArray[np.uint32], ends: Integers
    ) -> tuple[Integers, Integers, NDArray[np.int32]]:
        """(start, end, piece) of every piece that stands somewhere, and of every letter that is none (-1)."""
        places = np.arange(len(letters))
        hashes = letters.astype(np.uint64) + np.uint64(1)
        found = self._find(hashes)
        starts, stops, ids = [places], [places + 1], [found]
        length = 1
        while True:
            alive = (places + length < ends) & self._begun[(hashes * _MIXED) >> self._begun_shift]
            places, hashes, ends = places[alive], hashes[alive], ends[alive]
            if not len(places):
                break
            hashes = hashes * _STEP + letters[places + length].astype(np.uint64) + np.uint64(1)
            length += 1
            found = self._find(hashes)
            pieces = found >= 0
            starts.append(places[pieces])
            stops.append(places[pieces] + length)
            ids.append(found[pieces])
        return np.concatenate(starts), np.concatenate(stops), np.concatenate(ids)

    def _walked(
        self,
        letters: NDArray[np.uint32],
        lengths: Integers,
        chosen: Integers,
        tied: NDArray[np.bool_],
        froms: Integers,
        starts: Integers,
        stops: Integers,
        ids: NDArray[np.int32],
    ) -> list[bytes | None]:
        """The tokens of each word, from its end back to its beginning; None where two ways are as good."""
        words = np.arange(len(lengths))
        first = np.cumsum(lengths) - lengths + words
        at = first + lengths
        taken, whose = [], []
        doubtful = []
        alive = words
        while len(alive):
            doubtful.append(alive[tied[at[alive]]])
            step = chosen[at[alive]]
            taken.append(step)
            whose.append(alive)
            at[alive] = froms[step]
            alive = alive[at[alive] > first[alive]]
        steps, owners = np.concatenate(taken[::-1]), np.concatenate(whose[::-1])
        order = np.argsort(owners, kind="stable")
        steps, owners = steps[order], owners[order]
        tokens = ids[steps]
        wrong = self._misread(letters, starts[steps], stops[steps], tokens)
        unknown = tokens == -1
        # Unknown letters that follow one another are one token.
        again = unknown & np.r_[False, unknown[:-1] & (owners[1:] == owners[:-1])]
        tokens = np.where(unknown, np.int32(self._unknown), tokens)[~again]
        counts = np.bincount(owners[~again], minlength=len(words))
        borders = [0, *(4 * np.cumsum(counts)).tolist()]
        block = tokens.astype(np.int32).tobytes()
        out: list[bytes | None] = [block[a:b] for a, b in itertools.pairwise(borders)]
        for owner in {*owners[wrong].tolist(), *np.concatenate(doubtful).tolist()}:
            out[owner] = None
        return out

    def _misread(
        self, letters: NDArray[np.uint32], starts: Integers, stops: Integers, ids: NDArray[np.int32]
    ) -> Integers:
        """Where a piece is not, letter by letter, what stands there: two strings had one hash."""
        wrong = [np.flatnonzero((ids >= 0) & (self._lengths[ids] != stops - starts))]
        steps = np.flatnonzero(ids >= 0)
        length = 0
        while len(steps):
            given = self._letters[
                np.minimum(self._starts[ids[steps]] + length, len(self._letters) - 1)
            ]
            wrong.append(steps[given != letters[starts[steps] + length]])
            length += 1
            steps = steps[starts[steps] + length < stops[steps]]
        return np.concatenate(wrong)
