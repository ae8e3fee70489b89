"""Text to index terms, by language: words as written (folded) and their stems.

Two streams are indexed. `words` are lower-cased and without diacritics, so that "pocitace" finds
"počítače"; `stems` are Snowball stems, folded the same way. Scripts written without spaces become
character bigrams (words) and single characters (stems); Korean words are kept, with their bigrams as
stems, because particles are glued to nouns. No stop words are removed: BM25 gives them almost nothing.
"""

from __future__ import annotations

import collections
import functools
import itertools
import re
import threading
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from indexer.schema import Term
from indexer.text.word_cache import INSIDE, JOINED, LONGEST, Pieces, Rows, cut, kinds, portions

__all__ = [
    "STEMMERS",
    "Analyses",
    "Analysis",
    "analyse",
    "analyse_all",
    "analysed",
    "fold",
    "query_terms",
    "tokens",
    "weighted_terms",
    "word_matches",
    "word_terms",
]

STEMMERS = {
    "ar": "arabic", "ca": "catalan", "cs": "czech", "da": "danish", "de": "german", "el": "greek",
    "en": "english", "eo": "esperanto", "es": "spanish", "et": "estonian", "eu": "basque",
    "fa": "persian", "fi": "finnish", "fr": "french", "ga": "irish", "hi": "hindi",
    "hu": "hungarian", "hy": "armenian", "id": "indonesian", "it": "italian", "lt": "lithuanian",
    "ne": "nepali", "nl": "dutch", "nn": "norwegian", "no": "norwegian", "pl": "polish",
    "pt": "portuguese", "ro": "romanian", "ru": "russian", "sk": "czech", "sr": "serbian",
    "st": "sesotho", "sv": "swedish", "ta": "tamil", "tr": "turkish", "yi": "yiddish",
}  # fmt: skip
# Slovak has no Snowball stemmer; the Czech one conflates most of its endings.

_LETTERS = str.maketrans(
    {"ł": "l", "ø": "o", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "œ": "oe", "æ": "ae", "þ": "th",
     "ŀ": "l", "ŧ": "t", "\u200c": None, "\u200d": None, "ـ": None, "ي": "ی", "ك": "ک", "ى": "ی"}
)  # fmt: skip
_STRIPPED = re.compile(
    "[\u0300-\u036f\u064b-\u065f\u0670\u0591-\u05c7]"
)  # accents, harakat, niqqud
_UNSPACED = "\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\U00020000-\U0003134f"
_RUNS = re.compile(f"[{_UNSPACED}]+|[^{_UNSPACED}]+")
_SPACELESS = re.compile(f"[{_UNSPACED}]")
_HANGUL = re.compile("[\uac00-\ud7af]")
_REMEMBERED = 150_000  # written words whose terms are kept, twice (some 40 MB each)
_TOGETHER = 16  # texts for which going through them together pays


class Analysis(NamedTuple):
    """The two streams of a text, each a string of terms between single spaces."""

    words: str
    stems: str


@functools.cache
def _marks() -> str:
    """Combining marks and joiners, as ranges of a character class: `\\w` leaves them out, and Indic words are
    full of them."""
    ranges, start = [], None
    for point in range(0x300, 0x20000):
        mark = unicodedata.category(chr(point)) in ("Mn", "Mc")
        if mark and start is None:
            start = point
        elif not mark and start is not None:
            ranges.append(f"{chr(start)}-{chr(point - 1)}")
            start = None
    return "".join(ranges) + "\u200c\u200d"


@functools.cache
def _word() -> re.Pattern[str]:
    """Letters or marks in any order, a letter first; runs of letters, the most of it, are taken whole."""
    return re.compile(rf"[^\W_]+(?:[{_marks()}]+[^\W_]*)*")


@functools.cache
def _stemmer(lang: str) -> Any:
    import Stemmer

    return Stemmer.Stemmer(STEMMERS[lang], 0) if lang in STEMMERS else None


def fold(word: str) -> str:
    """Case and diacritics removed, compatibility forms unified; vowel signs of Indic scripts stay."""
    lowered = unicodedata.normalize("NFKC", word).casefold()
    if lowered.isascii():
        return lowered
    bare = _STRIPPED.sub("", unicodedata.normalize("NFD", lowered))
    return unicodedata.normalize("NFC", bare).translate(_LETTERS)


def _terms(word: str, lang: str) -> tuple[str, str]:
    """(words, stems) of one written word, terms between spaces."""
    if word.isascii():  # what the rest would come to, at a third of the time
        lowered, stemmer = word.lower(), _stemmer(lang)
        return lowered, fold(stemmer.stemWord(lowered)) if stemmer else lowered
    words, stems = [], []
    for run in _RUNS.findall(unicodedata.normalize("NFKC", word)):
        folded = fold(run)
        if not folded:
            continue
        if _SPACELESS.match(run):
            words += [folded[i : i + 2] for i in range(len(folded) - 1)] or [folded]
            stems += list(folded)
        elif _HANGUL.search(run):
            words.append(unicodedata.normalize("NFC", folded))
            stems += [folded[i : i + 2] for i in range(len(folded) - 1)] or [folded]
        else:
            stemmer = _stemmer(lang)
            words.append(folded)
            stems.append(fold(stemmer.stemWord(run.lower())) if stemmer else folded)
    return " ".join(words), " ".join(stem for stem in stems if stem)


Terms = tuple[str, str]  # words, stems
# Language -> piece between white space -> its terms; the newer half, and the older.
_remembered: dict[str, dict[str, Terms]] = {}
_older: dict[str, dict[str, Terms]] = {}


def _make_room() -> None:
    """Forget the rarer half; the other comes back from it. Not cleared: another thread may be reading."""
    global _remembered, _older
    if sum(map(len, _remembered.values())) > _REMEMBERED:
        _older, _remembered = _remembered, {}


def word_terms(word: str, lang: str) -> tuple[str, str]:
    """(words, stems) of one written word, terms between spaces; remembered between calls."""
    terms = _remembered.get(lang, {}).get(word)
    if terms is None:
        _make_room()
        terms = _older.get(lang, {}).get(word) or _terms(word, lang)
        if len(word) <= LONGEST:
            _remembered.setdefault(lang, {})[word] = terms
    return terms


def analyse(text: str, lang: str) -> Analysis:
    """Both streams of `text`, in the order of the text."""
    found = [word_terms(word, lang) for word in _word().findall(text)]
    return _joined(found)


def _joined(found: Iterable[Terms]) -> Analysis:
    words, stems = zip(*found, strict=True) if found else ((), ())
    return Analysis(" ".join(filter(None, words)), " ".join(filter(None, stems)))


class Analyses:
    """What texts became, in the form in which it goes from one process to another: a few arrays of bytes."""

    def __init__(self, parts: Iterable[Sequence[Rows]]) -> None:
        """`parts`: words and stems of some texts each, a space after every term."""
        self._parts = [
            [(rows.flat.tobytes(), rows.borders.astype(np.int32)) for rows in part]
            for part in parts
        ]

    def __len__(self) -> int:
        return sum(len(part[0][1]) - 1 for part in self._parts)

    def __iter__(self) -> Iterator[Analysis]:
        for words, stems in self._parts:
            yield from map(Analysis, _texts(*words), _texts(*stems))


def _texts(flat: bytes, borders: NDArray[np.int32]) -> list[str]:
    return [
        str(flat[a : b - 1], "utf-8", "surrogatepass") if b > a else ""
        for a, b in itertools.pairwise(borders.tolist())
    ]


def analyse_all(texts: Sequence[str], langs: Sequence[str]) -> list[Analysis]:
    """`analyse` of each text in its language; all words of many texts together."""
    if len(texts) < _TOGETHER:
        return [analyse(text, lang) for text, lang in zip(texts, langs, strict=True)]
    return list(analysed(texts, langs))


def analysed(texts: Sequence[str], langs: Sequence[str]) -> Analyses:
    """`analyse` of each of many texts in its language, ready to be sent to another process."""
    with _asking:
        groups = [_groups.setdefault(lang, len(_groups)) for lang in langs]
        return Analyses(
            _table().look_up(cut(texts[some], _kinds()), groups[some]) for some in portions(texts)
        )


_asking = threading.Lock()
_groups: dict[str, int] = {}  # of a language, its number in the table


@functools.cache
def _kinds() -> NDArray[np.uint8]:
    """Of letters, as `_word` has them; those from the third plane on are none."""
    return kinds(0x32400, {INSIDE: r"[^\W_]", JOINED: f"[{_marks()}]"})


@functools.cache
def _table() -> Pieces:
    return Pieces(_learned, [np.uint8, np.uint8])


def _learned(words: list[str], group: int) -> tuple[list[bytes], list[bytes]]:
    """(words, stems) of each written word, a space after each term."""
    lang = next(lang for lang, number in _groups.items() if number == group)
    found = _terms_of_all(words, lang)
    return _lines([word for word, _ in found]), _lines([stem for _, stem in found])


def _lines(rows: Sequence[str]) -> list[bytes]:
    """Each row in UTF-8 with a space after it, an empty one with none."""
    lines = " \n".join([*rows, ""]).encode("utf-8", "surrogatepass").split(b"\n")
    del lines[-1]
    return [b"" if line == b" " else line for line in lines]


def _terms_of_all(words: Sequence[str], lang: str) -> list[Terms]:
    """`_terms` of each word. Folding and stemming take a list for little more than one word."""
    folded = unicodedata.normalize("NFKC", "\n".join(words))
    if _SPACELESS.search(folded) or _HANGUL.search(folded):
        rare = [bool(_SPACELESS.search(w) or _HANGUL.search(w)) for w in folded.split("\n")]
        others = iter(_terms_of_all([w for w, r in zip(words, rare, strict=True) if not r], lang))
        return [_terms(w, lang) if r else next(others) for w, r in zip(words, rare, strict=True)]
    if not words:
        return []
    written = fold(folded)
    stems = written
    if (stemmer := _stemmer(lang)) is not None:
        stems = fold("\n".join(stemmer.stemWords(folded.lower().split("\n"))))
    return [
        (word, word if word == stem else stem) if word else ("", "")
        for word, stem in zip(written.split("\n"), stems.split("\n"), strict=True)
    ]


def query_terms(query: str, langs: Collection[str]) -> tuple[list[str], list[str]]:
    """(words, stems) to look for: each once, stems as every one of `langs` would have them."""
    words: dict[str, None] = {}
    stems: dict[str, None] = {}
    for lang in langs or ("",):
        analysis = analyse(query, lang)
        words.update(dict.fromkeys(analysis.words.split()))
        stems.update(dict.fromkeys(analysis.stems.split()))
    return list(words), list(stems)


def weighted_terms(query: str, langs: Collection[str], word_weight: float) -> list[Term]:
    """Everything to look for, each term of a stream once.

    A stem weighs 1 and a word as written `word_weight`, times how often the query has it. Where the
    stream of words holds bigrams, and that of stems single characters, it is the other way round.
    """
    counts: dict[tuple[str, str], int] = {}
    for lang in langs or ("",):
        analysis = analyse(query, lang)
        for stream, text in (("words", analysis.words), ("stems", analysis.stems)):
            for term, count in collections.Counter(text.split()).items():
                counts[stream, term] = max(count, counts.get((stream, term), 0))
    return [
        Term(stream, term, count * (1.0 if (stream == "words") == _unspaced(term) else word_weight))
        for (stream, term), count in counts.items()
    ]


def _unspaced(term: str) -> bool:
    return _SPACELESS.match(term) is not None


def word_matches(text: str) -> Iterator[re.Match[str]]:
    """Every written word of `text`, in order."""
    return _word().finditer(text)


def tokens(text: str) -> list[tuple[str, int, int]]:
    """Every written word with where it starts and ends in `text`, for marking."""
    return [(match[0], match.start(), match.end()) for match in word_matches(text)]
