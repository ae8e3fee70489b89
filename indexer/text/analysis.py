"""Text to index terms, by language: words as written (folded) and their stems.

Two streams are indexed. `words` are lower-cased and without diacritics, so that "pocitace" finds
"počítače"; `stems` are Snowball stems of the words and of their dictionary forms, folded the same way. Scripts
written without spaces become character bigrams (words) and single characters (stems); Korean words are kept, with
their bigrams as stems, because particles are glued to nouns. No stop words are removed: BM25 gives them almost
nothing.

A word that can be written otherwise has further terms, which come after its own: "wi-fi" is wi, fi and wifi,
"København" kobenhavn and koebenhavn, "být" byt and být. What is typed in the other way finds it, and what is typed
as it is written has more terms in common with it, so that the exact form comes first.
"""

from __future__ import annotations

import functools
import itertools
import re
import threading
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from indexer.schema import Counted, Term
from indexer.text.lemmas import lemmas
from indexer.text.spelling import (
    APOSTROPHES,
    INVISIBLE,
    TURKIC,
    accented,
    bare,
    fold,
    latin,
    letters,
    lower,
    one_spelling,
    other,
)
from indexer.text.word_cache import (
    BETWEEN,
    INSIDE,
    JOINED,
    LONGEST,
    Pieces,
    Rows,
    cut,
    kinds,
    portions,
)

__all__ = [
    "ANALYSIS",
    "STEMMERS",
    "TWO_ALPHABETS",
    "Analyses",
    "Analysis",
    "Part",
    "Weigh",
    "analyse",
    "analyse_all",
    "analysed",
    "counted_terms",
    "fold",
    "parts",
    "query_terms",
    "terms_of",
    "tokens",
    "unspaced",
    "weighted_terms",
    "word_matches",
    "word_parts",
    "word_terms",
]

ANALYSIS = (
    2  # goes up whenever a text has other terms than before: an index says by which it was made
)

STEMMERS = {
    "ar": "arabic", "bs": "serbian", "ca": "catalan", "cs": "czech", "da": "danish", "de": "german",
    "el": "greek", "en": "english", "eo": "esperanto", "es": "spanish", "et": "estonian", "eu": "basque",
    "fa": "persian", "fi": "finnish", "fr": "french", "ga": "irish", "hi": "hindi", "hr": "serbian",
    "hu": "hungarian", "hy": "armenian", "id": "indonesian", "it": "italian", "lt": "lithuanian",
    "ms": "indonesian", "ne": "nepali", "nl": "dutch", "nn": "norwegian", "no": "norwegian", "pl": "polish",
    "pt": "portuguese", "ro": "romanian", "ru": "russian", "sk": "czech", "sr": "serbian",
    "st": "sesotho", "sv": "swedish", "ta": "tamil", "tr": "turkish", "yi": "yiddish",
}  # fmt: skip
# Slovak, Croatian, Bosnian and Malay have the stemmer of a close language, which conflates most of their endings.

# Letters that a language's stemmer and dictionary expect, where another keyboard gives others.
_EXPECTED = {
    "ar": str.maketrans("یکہھ", "يكهه"),
    "fa": str.maketrans("يكة", "یکه"),
    "ur": str.maketrans("يكه", "یکہ"),
}  # fmt: skip
_LAST_HEH = re.compile("ه$", re.MULTILINE)
TWO_ALPHABETS = frozenset({"bs", "hr", "mk", "sr"})
_HYPHENS = "-\u2010\u2011\ufe63\uff0d\u05be\u2043"
_QUOTES = '"\u05f4\u201d\u201c\u201e\uff02'  # Hebrew's gershayim, and what is typed for it
_POINTS = ".\uff0e\u00b7\u2027"
_COMMAS = ",\uff0c\u066c\u060c"
_AND = "&\uff06"
_SIGNS = f"{_HYPHENS}{APOSTROPHES}{_QUOTES}{_POINTS}{_COMMAS}{_AND}"
_BETWEEN = f"[{re.escape(_SIGNS)}]"  # may stand inside a word as it is cut, between two letters
# Letters of Linear A stand for signs that belong to a name (C++, C#, .NET), and for the space in 45 000.
_PLUS, _SHARP, _DOT, _GAP = "\U00010600", "\U00010601", "\U00010602", "\U00010603"
_NAMED = str.maketrans({_PLUS: "+", _SHARP: "#", _DOT: "."})
_UNNAMED = str.maketrans(dict.fromkeys((_PLUS, _SHARP, _DOT), ""))
_STANDING_IN = re.compile(f"[{_PLUS}{_SHARP}{_DOT}{_GAP}]")
_NAME_ENDS = re.compile(f"(?<=[{_PLUS}{_SHARP}])(?=[^\\W{_PLUS}{_SHARP}])")
_PLUSES = re.compile(r"(?<=[^\W_])\+\+(?!\+)")
_SHARPS = re.compile(r"(?<![^\W_])([^\W\d_]{1,2})[#\uff03\u266f](?![^\W_])")
_NET = re.compile(r"(?<![^\W_.])\.(?=[Nn][Ee][Tt](?![^\W_]))|(?<=[^\W_])\.(?=NET(?![^\W_]))")
_SPACE = "[ \u00a0\u2007\u2008\u2009\u202f]"
_THOUSANDS = re.compile(rf"(?<![^\W_])(?<!\d[.,])\d{{1,3}}(?:{_SPACE}\d{{3}})+(?![^\W_])")
_SPACED = re.compile(rf"\d{_SPACE}\d{{3}}")
_MOST_PARTS, _LONGEST_JOINED = 4, 32
# Before and after an apostrophe, what is a word beside a word and no half of one: l'eau, it's.
_ELIDED = frozenset(
    "l d j m n s t c qu lorsqu puisqu quoiqu jusqu dell all nell sull dall coll un quell".split()
)
_ENDINGS = frozenset("s t re ve ll d m".split())
_APOSTROPHE_IS_A_LETTER = re.compile("[\u0370-\u058f\u0900-\u0dff]")  # Cyrillic above all
_HEBREW = re.compile("[\u05d0-\u05ea]")
# ve-, she-, ha-, be-, ke-, le-, mi- and what they make together, before a Hebrew word.
_is_prefix = re.compile("ו?(?:לכש|כש|מש|בש|ש)?[הבכלמ]?").fullmatch

_UNSPACED = "\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\U00020000-\U0003134f"
_RUNS = re.compile(f"[{_UNSPACED}]+|[^{_UNSPACED}]+")
_SPACELESS = re.compile(f"[{_UNSPACED}]")
_HANGUL = re.compile("[\uac00-\ud7af]")
_RARE = re.compile(
    rf"[{re.escape(_SIGNS)}\u2044 \u05d0-\u05ea{_UNSPACED[:-3]}\uac00-\ud7af]"
)  # of the first plane, which is searched faster
_BEYOND = re.compile("[\U00010000-\U0010ffff]")
_CYRILLIC = re.compile("[\u0400-\u04ff]")
Terms = tuple[str, str]  # words, stems
_REMEMBERED = 150_000  # written words whose terms are kept, twice (some 40 MB each)
_TOGETHER = 16  # texts, or words, for which going through them together pays


class Analysis(NamedTuple):
    """The two streams of a text, each a string of terms between single spaces."""

    words: str
    stems: str


@functools.cache
def _marks() -> tuple[str, str]:
    """Combining marks and signs that nobody sees, as ranges of a character class, of the first plane and beyond:
    `\\w` leaves them out, and Indic words are full of them."""
    ranges: tuple[list[str], list[str]] = ([], [])
    start = None
    for point in range(0x300, 0x20000):
        mark = unicodedata.category(chr(point)) in ("Mn", "Mc")
        if mark and start is None:
            start = point
        elif not mark and start is not None:
            ranges[start > 0xFFFF].append(f"{chr(start)}-{chr(point - 1)}")
            start = None
    hidden, beyond = INVISIBLE[:-3], INVISIBLE[-3:]
    return "".join(ranges[0]) + hidden, "".join(ranges[1]) + beyond


@functools.cache
def _part() -> re.Pattern[str]:
    """Letters or marks in any order, a letter first; runs of letters, the most of it, are taken whole."""
    first, beyond = _marks()
    return re.compile(rf"[^\W_]+(?:(?:[{first}]|[{beyond}])+[^\W_]*)*")


@functools.cache
def _word() -> re.Pattern[str]:
    """A `_part`, or several with one sign between two of them."""
    first, beyond = _marks()
    return re.compile(rf"[^\W_]+(?:(?:(?:[{first}]|[{beyond}])+|{_BETWEEN}(?=[^\W_]))[^\W_]*)*")


def _protected(text: str) -> str:
    """`text`, letter for letter, but for signs that are part of a name or a number: those are letters in it."""
    if "++" in text:
        text = _PLUSES.sub(_PLUS * 2, text)
    if "#" in text or not text.isascii():
        text = _SHARPS.sub(rf"\1{_SHARP}", text)
    if ".n" in text or ".N" in text:
        text = _NET.sub(_DOT, text)
    if _SPACED.search(text):
        text = _THOUSANDS.sub(lambda found: re.sub(_SPACE, _GAP, found[0]), text)
    return text


@functools.cache
def _stemmer(lang: str) -> Any:
    import Stemmer

    return Stemmer.Stemmer(STEMMERS[lang], 0) if lang in STEMMERS else None


def _stems(words: list[str], lang: str) -> list[list[str]]:
    """What each word is found by: its stem, and the stem of its dictionary form.

    Words in small letters, each letter in one form (`indexer.text.spelling.letters`); so in what follows.
    """
    standard = one_spelling("\n".join(words)).split("\n")
    if lang in _EXPECTED or lang in ("ar", "el"):
        joined = "\n".join(standard).translate(_EXPECTED.get(lang, {}))
        if lang == "ar":  # at the end of a word one is typed for the other
            joined = _LAST_HEH.sub("ة", joined)
        standard = joined.split("\n")
    known = lemmas(standard, lang)
    if lang == "el":  # its stemmer knows one accent, and texts may have three
        standard = bare("\n".join(standard)).split("\n")
    stemmer = _stemmer(lang)
    found = _spellings(stemmer.stemWords(standard) if stemmer else standard)
    some = [i for i, lemma in enumerate(known) if lemma]
    if some:
        forms = [known[i] for i in some]
        if lang == "el":
            forms = bare("\n".join(forms)).split("\n")
        more = _spellings(stemmer.stemWords(forms) if stemmer else forms)
        for i, terms in zip(some, more, strict=True):
            if terms != found[i]:
                found[i] = list(dict.fromkeys(found[i] + terms))
    return found


def _spellings(words: Sequence[str], accents: bool = False) -> list[list[str]]:
    """Each word folded; after it the other way to spell it, or else, with `accents`, the word with its accents."""
    joined = words[0] if len(words) == 1 else "\n".join(words)
    folded = bare(joined).split("\n")
    if joined.isascii():
        return [[word] for word in folded]
    found = [[word] for word in folded]
    otherwise = other(joined)
    if otherwise is not None:
        for terms, word in zip(found, otherwise.split("\n"), strict=True):
            if word != terms[0]:
                terms.append(word)
    if accents:
        for terms, word in zip(found, accented(joined).split("\n"), strict=True):
            if word != terms[0] and len(terms) == 1:
                terms.append(word)
    return found


class Part(NamedTuple):
    """What a part of a written word is looked for by: each term with those that stand for it, itself first."""

    words: list[list[str]]
    stems: list[list[str]]
    joined: bool
    """Of parts that were taken together, and are looked for by themselves too."""


def _terms(word: str, lang: str) -> Terms:
    """(words, stems) of one written word, terms between spaces."""
    if word.isascii() and word.isalnum() and not (lang in TURKIC and "I" in word):
        lowered = word.lower()  # what the rest would come to, at a third of the time
        return lowered, " ".join(_stems([lowered], lang)[0])
    found = word_parts(word, lang)
    return _flat(part.words for part in found), _flat(part.stems for part in found)


def _plain(words: list[str], lang: str) -> list[Terms]:
    """Of words of one part that need no more than folding and stemming."""
    written, stems = _spellings(words, accents=True), _stems(words, lang)
    return [
        (
            a[0] if len(a) == 1 else " ".join(filter(None, a)),
            b[0] if len(b) == 1 else " ".join(filter(None, b)),
        )
        for a, b in zip(written, stems, strict=True)
    ]


def _flat(found: Iterable[list[list[str]]]) -> str:
    return " ".join(term for terms in found for same in terms for term in same if term)


def word_parts(word: str, lang: str) -> list[Part]:
    """The parts of one written word, and after those that may be written together what they are then."""
    unified = letters(word)
    if not _is_rare(unified, lang):
        lowered = [lower(unified, lang)]
        return [Part(_spellings(lowered, accents=True), _stems(lowered, lang), False)]
    found = []
    for part, joined in _parted(unified):
        words: list[list[str]] = []
        stems: list[list[str]] = []
        for run in _RUNS.findall(part):
            if _SPACELESS.match(run) or _HANGUL.search(run):
                folded = bare(run)
                pairs = [[folded[i : i + 2]] for i in range(len(folded) - 1)] or [[folded]]
                spaceless = _SPACELESS.match(run) is not None
                words += pairs if spaceless else [[folded]]
                stems += [[letter] for letter in folded] if spaceless else pairs
            else:
                mine, more = _spaced(run, lang)
                words.append(mine)
                stems.append(more)
        found.append(Part(_with_signs(words), _with_signs(stems), joined))
    return found


def _with_signs(terms: list[list[str]]) -> list[list[str]]:
    return [[term.translate(_NAMED) for term in same] for same in terms]


def _spaced(run: str, lang: str) -> tuple[list[str], list[str]]:
    """(words, stems) of a word in a script with spaces."""
    lowered = lower(run, lang)  # `run` comes from `letters`
    words = _spellings([lowered], accents=True)[0]
    same = [lowered]
    if lang in TWO_ALPHABETS and (latin_form := latin(lowered)) != lowered:
        words += _spellings([latin_form], accents=True)[0]
        same.append(latin_form)
    if lang != "yi" and _HEBREW.match(words[0]):
        same += _without_prefixes(words[0])
    return words, list(dict.fromkeys(itertools.chain.from_iterable(_stems(same, lang))))


def _without_prefixes(word: str) -> list[str]:
    """A Hebrew word without each of the prefixes that it may begin with."""
    return [
        word[n:]
        for n in range(1, min(5, len(word) - 1))
        if _is_prefix(word[:n]) and (len(word) - n > 2 or word[:n] == "ה")
    ]


# -- words of several parts -------------------------------------------------------------------------


def _parted(word: str) -> list[tuple[str, bool]]:
    """The parts of a written word (from `letters`), and True after those that may be written together what they are
    then."""
    text = word
    if _STANDING_IN.search(text):
        text = text.replace(_GAP, " ").replace(_DOT, f"\0{_DOT}")
        text = _NAME_ENDS.sub("\0", text)
    if text.isalnum():
        return _with_joined([text])
    found: list[tuple[str, bool]] = []
    group: list[str] = []
    end = 0
    for match in _part().finditer(text):
        part, sign = match[0], text[end : match.start()]
        end = match.end()
        if group and (glue := _glue(group[-1], sign, part)) is not None:
            group[-1] += glue + part
        elif group and _may_join(group[-1], sign, part):
            group.append(part)
        else:
            found += _with_joined(group)
            group = [part]
    return found + _with_joined(group)


def _glue(before: str, sign: str, after: str) -> str | None:
    """What holds two parts together that are one word to everyone (комп'ютер, צה"ל, col·lecció); None: nothing."""
    if sign == "'" and all(map(_APOSTROPHE_IS_A_LETTER.match, (before[-1], after[0]))):
        return sign
    if sign and sign in f"{_QUOTES}'" and all(map(_HEBREW.match, (before[-1], after[0]))):
        return ""
    return "" if sign == "·" and before[-1] in "lL" and after[0] in "lL" else None


def _may_join(before: str, sign: str, after: str) -> bool:
    """Whether two parts, with `sign` between them, may also be written as one."""
    if len(sign) != 1:
        return False
    if sign in _HYPHENS:
        return True
    if before[-1].isdecimal() and after[0].isdecimal():  # thousands, or ten thousands in India
        return (
            sign != "\0"
            and (before + after).isdecimal()
            and len(after) in (2, 3)
            and len(before) < 4
        )
    if sign == "'":
        return not after[0].islower() or not (before.lower() in _ELIDED or after in _ENDINGS)
    if sign == "\0":
        return after[0] == _DOT
    return sign in f"{_POINTS}{_AND}" and (before[-1] + after[0]).isalpha()


def _with_joined(group: list[str]) -> list[tuple[str, bool]]:
    found = []
    for part in group:
        name = part.translate(_UNNAMED)
        if part[-1] == _PLUS and len(name) > 2:
            found.append((name, False))  # Notepad++ is also found as notepad, C++ is not C
        found.append((part, False))
    joined = "".join(group).translate(_UNNAMED)
    if not 1 < len(group) <= _MOST_PARTS or len(joined) > _LONGEST_JOINED:
        return found
    if joined.isdecimal() and len(group[-1]) == 2:
        return found  # 12.50
    if len(group) > 2 and not joined.isdecimal():  # Hi-Fi-Anlage is found as hifi
        found += [((a + b).translate(_UNNAMED), True) for a, b in itertools.pairwise(group)]
    return [*found, (joined, True)]


# Language -> piece between white space -> its terms; the newer half, and the older.
_remembered: dict[str, dict[str, Terms]] = {}
_older: dict[str, dict[str, Terms]] = {}


def _make_room() -> None:
    """Forget the rarer half; the other comes back from it. Not cleared: another thread may be reading."""
    global _remembered, _older
    if sum(map(len, _remembered.values())) > _REMEMBERED:
        _older, _remembered = _remembered, {}


def word_terms(word: str, lang: str) -> Terms:
    """(words, stems) of one written word, terms between spaces; remembered between calls."""
    terms = _remembered.get(lang, {}).get(word)
    if terms is None:
        _make_room()
        terms = _older.get(lang, {}).get(word) or _terms(word, lang)
        if len(word) <= LONGEST:
            _remembered.setdefault(lang, {})[word] = terms
    return terms


def terms_of(words: Sequence[str], lang: str) -> list[Terms]:
    """`word_terms` of each word; those that are new are gone through together where they are many."""
    known = _remembered.get(lang, {})
    if len(words) >= _TOGETHER:
        missing = list({word for word in words if word not in known})
        if len(missing) >= _TOGETHER:
            _make_room()
            fresh = dict(zip(missing, _terms_of_all(missing, lang), strict=True))
            brief = {word: terms for word, terms in fresh.items() if len(word) <= LONGEST}
            _remembered.setdefault(lang, {}).update(brief)
            return [fresh.get(word) or known[word] for word in words]
    return [word_terms(word, lang) for word in words]


def analyse(text: str, lang: str) -> Analysis:
    """Both streams of `text`, in the order of the text."""
    return _joined(terms_of(_word().findall(_protected(text)), lang))


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
            _table().look_up(cut(list(map(_protected, texts[some])), _kinds()), groups[some])
            for some in portions(texts)
        )


_asking = threading.Lock()
_groups: dict[str, int] = {}  # of a language, its number in the table


@functools.cache
def _kinds() -> NDArray[np.uint8]:
    """Of letters, as `_word` has them."""
    first, beyond = _marks()
    classes = {BETWEEN: _BETWEEN, INSIDE: r"[^\W_]", JOINED: f"[{first}]|[{beyond}]"}
    return kinds(0xE1000, classes)


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
    if not words:
        return []
    unified = letters("\n".join(words))
    if not _is_rare(unified, lang):
        return _plain(lower(unified, lang).split("\n"), lang)
    rare = [_is_rare(line, lang) for line in unified.split("\n")]
    others = iter(_terms_of_all([w for w, r in zip(words, rare, strict=True) if not r], lang))
    return [_terms(w, lang) if r else next(others) for w, r in zip(words, rare, strict=True)]


def _is_rare(text: str, lang: str) -> bool:
    """Whether a word of `text`, in which letters have one form, needs more than folding and stemming."""
    return bool(
        _RARE.search(text)
        or _BEYOND.search(text)
        or (lang in TWO_ALPHABETS and _CYRILLIC.search(text))
    )


def query_terms(query: str, langs: Collection[str]) -> tuple[list[str], list[str]]:
    """(words, stems) to look for: each once, stems as every one of `langs` would have them."""
    words: dict[str, None] = {}
    stems: dict[str, None] = {}
    for lang in langs or ("",):
        analysis = analyse(query, lang)
        words.update(dict.fromkeys(analysis.words.split()))
        stems.update(dict.fromkeys(analysis.stems.split()))
    return list(words), list(stems)


Weigh = Callable[[Sequence[str]], Sequence[float]]
"""How much each word says, from 0 to 1."""


@functools.lru_cache(65_536)  # of the words of queries, which come again
def _parts_of(word: str, lang: str) -> list[Part]:
    return word_parts(word, lang)


def weighted_terms(
    query: str, langs: Collection[str], word_weight: float, weigh: Weigh | None = None
) -> list[Term]:
    """Everything to look for, each term of a stream once.

    A stem weighs 1 and a word as written `word_weight`, times how much the word says and how often the query
    has it; a stem and others that stand for it share what it weighs. Where the stream of words holds bigrams, and
    that of stems single characters, it is the other way round.
    """
    words, shares = _words_of(query, weigh)
    most: dict[tuple[str, str], float] = {}
    for lang in langs or ("",):
        mine: dict[tuple[str, str], float] = {}
        for word, share in zip(words, shares, strict=True):
            for part in _parts_of(word, lang):
                for terms in part.words:
                    for term in terms:
                        key = "words", term
                        mine[key] = mine.get(key, 0.0) + _weight("words", term, word_weight, share)
                for terms in part.stems:
                    for term in terms:
                        key = "stems", term
                        weight = _weight("stems", term, word_weight, share) / len(terms)
                        mine[key] = mine.get(key, 0.0) + weight
        for key, weight in mine.items():
            most[key] = max(weight, most.get(key, 0.0))
    return [Term(*key, round(weight, 6)) for key, weight in most.items() if key[1]]


def counted_terms(
    query: str, langs: Collection[str], word_weight: float, weigh: Weigh | None = None
) -> list[list[Counted]]:
    """What a passage could match of each part of each word of the query, joined forms aside."""
    found: dict[tuple[int, int], dict[tuple[str, int], dict[str, None]]] = {}
    words, shares = _words_of(query, weigh)
    for lang in langs or ("",):
        for i, word in enumerate(words):
            for j, part in enumerate(_parts_of(word, lang)):
                if part.joined:
                    continue
                mine = found.setdefault((i, j), {})
                for stream, terms in (("words", part.words), ("stems", part.stems)):
                    for n, same in enumerate(terms):
                        mine.setdefault((stream, n), {}).update(dict.fromkeys(filter(None, same)))
    return [
        [
            Counted(
                stream, list(same), _weight(stream, next(iter(same)), word_weight, shares[place[0]])
            )
            for (stream, _), same in mine.items()
            if same
        ]
        for place, mine in found.items()
    ]


def _words_of(query: str, weigh: Weigh | None) -> tuple[list[str], Sequence[float]]:
    """The written words of a query, and how much each says."""
    matches = list(word_matches(query))
    words = [match[0] for match in matches]
    if weigh is None:
        return words, [1.0] * len(words)
    return words, weigh([query[match.start() : match.end()] for match in matches])


def _weight(stream: str, term: str, word_weight: float, share: float) -> float:
    """In scripts without spaces nobody knows which words a query has, and none counts less than another."""
    spaceless = unspaced(term)
    return (1.0 if spaceless else share) * (
        1.0 if (stream == "words") == spaceless else word_weight
    )


def unspaced(term: str) -> bool:
    """Whether a term is of a script that is written without spaces."""
    return _SPACELESS.match(term) is not None


def word_matches(text: str) -> Iterator[re.Match[str]]:
    """Every written word of `text`, in order; what it matches is `word_terms`' to read."""
    return _word().finditer(_protected(text))


def parts(word: str) -> list[tuple[int, int]]:
    """Where the parts of a written word stand in it: "wi-fi" has two."""
    return [match.span() for match in _part().finditer(word)]


def tokens(text: str) -> list[tuple[str, int, int]]:
    """Every written word with where it starts and ends in `text`, for marking."""
    return [
        (text[start:end], start, end)
        for start, end in (match.span() for match in word_matches(text))
    ]
