"""The dictionary form of a word, from the dictionaries of simplemma: what a stemmer cannot know (Czech psa: pes).

A dictionary is turned into sorted hashes once on a machine (`disk_cache`), some 0.3 to 5 seconds for each language
that is met, and memory-mapped from then on: 12 bytes a form, nothing to unpack when a search begins.
"""

from __future__ import annotations

import bisect
import contextlib
import functools
import itertools
import re
import threading
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.disk_cache import derived, is_kept
from indexer.text.spelling import letters, one_spelling

__all__ = ["DICTIONARIES", "is_known", "lemmas", "prepare_dictionary", "without_waiting"]

# Language to dictionary, for those where it finds more than it confuses; see `docs/languages.md`.
DICTIONARIES = {
    code: code
    for code in (
        "ar bg ca cs cy da de el en es et fi fr ga gd gl he hi hu hy id is it ka la lb lt lv mk ml nl nn "
        "pl pt ro ru sk sl sq sv sw tl tr uk"
    ).split()
} | {"no": "nb", "sr": "hbs", "hr": "hbs", "bs": "hbs"}  # fmt: skip
_VERSION = 5
_LATIN, _OTHER = (
    re.compile(r"[a-z\xaa-\u024f\u1e00-\u1eff]"),
    re.compile(r"[^\W\d_a-z\xaa-\u024f\u1e00-\u1eff]"),
)
# No word without a letter of this kind stands in the dictionary; in Latin letters for a language that is not here, and for
# Serbian and Croatian, which are written in two alphabets, in any.
_ALPHABETS = dict.fromkeys("ar bg el he hi hy ka mk ml ru uk".split(), _OTHER) | {
    "hbs": re.compile("")
}
_BASE, _POWER, _WORD = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93, 2**64 - 1
_FEW = 16  # words up to which each is looked up by itself
_LONGEST = 200  # bytes of a lemma
_BLOCK = 500  # words that are spelled together
_CHUNK = 100_000  # forms turned into hashes at a time


def lemmas(words: Sequence[str], lang: str) -> list[str]:
    """The dictionary form of each word, both in small letters; empty where the dictionary has none, or the same."""
    if lang not in _tables and not any(map(_alphabet(lang).search, words)):
        return [""] * len(
            words
        )  # a first query in Latin letters does not wait for the Russian dictionary
    table = _table(lang)
    if table is None:
        return [""] * len(words)
    return table.find(words)


def _alphabet(lang: str) -> re.Pattern[str]:
    """What a word of the language's dictionary has somewhere."""
    return _ALPHABETS.get(DICTIONARIES.get(lang, ""), _LATIN)


def prepare_dictionary(lang: str) -> None:
    """Make a language's table, where this machine has none yet, so that nobody waits for it later."""
    _table(lang)


@contextlib.contextmanager
def without_waiting() -> Iterator[set[str]]:
    """In this process and until the end of the block, a dictionary that has no table on this machine yet is left out.

    Gives the languages that were left out so far: what `prepare_dictionary` is to be called with afterwards. Words that
    were analysed meanwhile may be remembered without their dictionary form until the process ends.
    """
    global _left_out
    left: set[str] = set()
    _left_out = left
    try:
        yield left
    finally:
        _left_out = None


def is_known(word: str, lang: str) -> bool:
    """Whether a word, in small letters, stands in the dictionary of a language, as a form or as a lemma."""
    spelled = one_spelling(letters(word))
    if not _alphabet(lang).search(spelled):
        return False
    table = _table(lang)
    return table is not None and table.holds(spelled)


_tables: dict[str, _Table | None] = {}
_left_out: set[str] | None = None  # None: a table that is not there is made, and waited for
_making = threading.Lock()


class _Table:
    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """`arrays`: as `_made` has them."""
        self._hashes: NDArray[np.uint64] = arrays["hashes"]
        self._forms, self._lemmas = (
            np.ascontiguousarray(arrays[name]).data.cast("B").cast("Q")
            for name in ("hashes", "lemmas")
        )
        self._which = arrays["which"]
        self._text = arrays["text"]

    def find(self, words: Sequence[str]) -> list[str]:
        if len(words) < _FEW:
            return [self._one(word) for word in words]
        wanted = hashes(words)
        places = np.minimum(np.searchsorted(self._hashes, wanted), len(self._hashes) - 1)
        known = self._hashes[places] == wanted
        return [
            self._lemma(place) if found else ""
            for place, found in zip(places.tolist(), known.tolist(), strict=True)
        ]

    def _one(self, word: str) -> str:
        """The same for one word, for which numpy takes ten times as long."""
        place = _place(self._forms, _hash(word))
        return "" if place is None else self._lemma(place)

    def holds(self, word: str) -> bool:
        """Whether a word is a form, or the lemma of one."""
        value = _hash(word)
        return any(_place(sorted_, value) is not None for sorted_ in (self._forms, self._lemmas))

    def _lemma(self, place: int) -> str:
        start = int(self._which[place])
        block = self._text[start : start + _LONGEST].tobytes()
        return block[: block.index(b"\n")].decode()


def _place(values: memoryview, wanted: int) -> int | None:
    """Where a number stands among sorted ones; None: it does not."""
    place = bisect.bisect_left(values, wanted)
    return place if place < len(values) and values[place] == wanted else None


def _hash(word: str) -> int:
    """`hashes` of one word."""
    value, power = 0, 1
    for letter in word:
        power = power * _POWER & _WORD
        value += (ord(letter) + 1) * power
    value &= _WORD
    value = (value ^ value >> 29) * _BASE & _WORD
    return value ^ value >> 32


def hashes(words: Sequence[str]) -> NDArray[np.uint64]:
    """A number for each word that no other word is likely to share (64 bits)."""
    if not words:
        return np.zeros(0, np.uint64)
    block = np.frombuffer("\n".join((*words, "")).encode("utf-32-le", "surrogatepass"), np.uint32)
    ends = np.flatnonzero(block == 10)
    starts = np.r_[0, ends[:-1] + 1]
    place = np.arange(len(block)) - np.repeat(starts, ends + 1 - starts)
    values = (block + np.uint64(1)) * _powers(int(place.max(initial=0)) + 1)[place]
    values[ends] = 0
    summed = np.add.reduceat(values, starts)
    summed ^= summed >> np.uint64(29)
    summed *= np.uint64(_BASE)
    return np.asarray(summed ^ (summed >> np.uint64(32)), np.uint64)


@functools.lru_cache(8)
def _powers(count: int) -> NDArray[np.uint64]:
    return np.multiply.accumulate(np.full(count, _POWER, np.uint64))


def _table(lang: str) -> _Table | None:
    """The table of a language; None where there is no dictionary. Two threads that need one make it once."""
    if lang not in _tables:
        left = _left_out
        if (
            left is not None
            and lang in DICTIONARIES
            and (lang in left or not is_kept(*_named(lang)))
        ):
            left.add(lang)
            return None
        with _making:
            if lang not in _tables:
                _tables[lang] = _opened(lang) if lang in DICTIONARIES else None
    return _tables[lang]


def _named(lang: str) -> tuple[str, bytes]:
    """The name of a language's table in the cache, and what it is made of."""
    import simplemma

    code = DICTIONARIES[lang]
    source = f"{_VERSION} {code} {simplemma.__version__} {unicodedata.unidata_version}"
    return f"lemmas-{code}", source.encode()


def _opened(lang: str) -> _Table:
    return _Table(derived(*_named(lang), lambda: _made(DICTIONARIES[lang])))


_is_word = re.compile(r"[^\W_][^ \-/.]*").fullmatch


def _made(code: str) -> dict[str, NDArray[np.generic]]:
    """The dictionary as arrays; a form that is its own lemma is left out, and one with two lemmas has the first.

    `hashes`: of the forms, sorted; `which`: where the lemma of each begins in `text`, which has a line feed after each;
    `lemmas`: of the lemmas, sorted.
    """
    found, which = [np.zeros(0, np.uint64)], [np.zeros(0, np.int32)]
    places: dict[str, int] = {}
    text = bytearray()
    for forms, of in _portions(code):
        mine = []
        for lemma in of:
            if lemma not in places:
                places[lemma] = len(text)
                text += lemma.encode() + b"\n"
            mine.append(places[lemma])
        found.append(hashes(forms))
        which.append(np.array(mine, np.int32))
    keys, rows = np.concatenate(found), np.concatenate(which)
    keys, first = np.unique(keys, return_index=True)
    return {
        "hashes": keys,
        "which": rows[first],
        "lemmas": np.sort(hashes(list(places))),
        "text": np.frombuffer(bytes(text), np.uint8),
    }


def _spelled(words: Sequence[bytes]) -> list[str]:
    """Words in small letters, as `indexer.text.spelling` has them. In blocks: one word in a thousand has letters that need
    another look, and its whole block gets it."""
    found: list[str] = []
    for start in range(0, len(words), _BLOCK):
        block = b"\n".join(words[start : start + _BLOCK]).decode().lower()
        found += one_spelling(letters(block)).split("\n")
    return found


def _portions(code: str) -> Iterator[tuple[list[str], list[str]]]:
    """(forms, their lemmas), small letters, as `indexer.text.spelling` has them."""
    from simplemma.strategies.dictionaries import dictionary_factory, frontcode

    data = dictionary_factory._read_decompressed(code)
    backwards, _, start = frontcode._read_header(data)
    records = frontcode._iter_records(data, start)
    step = -1 if backwards else 1
    while some := list(itertools.islice(records, _CHUNK)):
        forms = _spelled([key[::step] for _, key, _ in some])
        raw = [lemma for _, _, lemma in some]
        each = list(dict.fromkeys(raw))  # one lemma has ten forms
        spelled = dict(zip(each, _spelled([lemma[::step] for lemma in each]), strict=True))
        of = [spelled[lemma] for lemma in raw]
        fit = {
            lemma
            for lemma in spelled.values()
            if 1 < len(lemma) < _LONGEST // 4 and _is_word(lemma)
        }
        own = _ALPHABETS.get(code, _LATIN).search
        kept = [
            (form, lemma)
            for form, lemma in zip(forms, of, strict=True)
            if form != lemma and lemma in fit and " " not in form and own(form)
        ]
        yield [form for form, _ in kept], [lemma for _, lemma in kept]
