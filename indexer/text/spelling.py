"""One spelling for each word, whatever the language: invisible signs, digits, letters that have several forms.

`visible` and `normalise` are for whole texts, before an encoder reads them; `letters`, `fold` and the others are for
the words of an index. All of them leave a line feed alone, so that many words can go through them
as lines. Rules that Unicode or a kept library has are taken from there: NFKC, decimal digits, the names of kana,
the layout that the Indic blocks share, and OpenCC for Chinese characters.
"""

from __future__ import annotations

import functools
import re
import sys
import unicodedata

__all__ = [
    "APOSTROPHES",
    "INVISIBLE",
    "TURKIC",
    "accented",
    "bare",
    "fold",
    "latin",
    "letters",
    "lower",
    "normalise",
    "one_spelling",
    "other",
    "visible",
]

# Signs that are nothing to a reader, as ranges of a character class. U+200B is not among them: it is a border
# between words in Thai and Khmer.
_HIDDEN_SIGNS = (
    "\u00ad\u034f\u061c\u180b-\u180f\u200c-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufe00-\ufe0f\ufeff"
    "\ufff9-\ufffb"
)
INVISIBLE = f"{_HIDDEN_SIGNS}\U000e0000-\U000e0fff"
# Letters and signs that are typed for an apostrophe inside words, and for Hebrew's geresh.
APOSTROPHES = "'\u2019\u2018\u201b\u02bc\u02bb\u02bd\u02be\u02bf\u02b9\u02c8\ua78b\ua78c`\u00b4\uff07\u055a\u05f3\u2032"
TURKIC = frozenset({"az", "tr"})  # I is the capital of ı there, and İ that of i

_HIDDEN = re.compile(f"[{_HIDDEN_SIGNS}]+")
_TAGS = re.compile("[\U000e0000-\U000e0fff]+")
_BEYOND = re.compile("[\U00010000-\U0010ffff]")
# For an encoder: the joiners mean something to it, and so do the selectors that follow an emoji.
_HIDDEN_TEXT = re.compile(
    r"[\u00ad\u034f\u061c\u180b-\u180f\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb]+"
    r"|(?<=\w)[\ufe00-\ufe0f]+"
)
_HIDDEN_SOME = re.compile(f"[{_HIDDEN_SIGNS}]")  # searched faster, and nearly all text has none
_BEYOND_TEXT = re.compile(r"(?<=\w)[\U000e0100-\U000e01ef]+")
_TURKISH = re.compile("[İĞğı]")
_SMALL = re.compile(r"[^\W\d_]")


def visible(text: str) -> str:
    """`text` without the signs that nobody sees. Ordinary text comes back as it is."""
    if text.isascii():
        return text
    if _HIDDEN_SOME.search(text):
        text = _HIDDEN_TEXT.sub("", text)
    return _BEYOND_TEXT.sub("", text) if _BEYOND.search(text) else text


def _small(text: str) -> str:
    """A Turkish text in small letters where it stands in capitals, which are others there than elsewhere."""
    if "İ" in text or ("I" in text and _TURKISH.search(text)):
        found = [letter for letter in _SMALL.findall(text) if letter.upper() != letter.lower()]
        if 2 * sum(map(str.isupper, found)) > len(found):
            text = text.replace("I", "ı").replace("İ", "i").lower()
        text = text.replace("İ", "i")
    return text


def normalise(text: str) -> str:
    """`visible`, and one letter for each that has several: what an encoder should be trained with and asked with."""
    if text.isascii():
        return text
    text = _small(visible(text))
    if not _doubtful(text):
        return text
    return one_spelling(_respelled(unicodedata.normalize("NFC", text)))


# -- letters ----------------------------------------------------------------------------------------

# What stands on the right has the same look or the same sound, and is typed for it.
_SAME = {
    "ٱ": "ا", "ٲ": "ا", "ٳ": "ا", "ٵ": "ا",  # alef wasla and the wavy hamzas
    "ۀ": "ه", "ۂ": "ہ", "ە": "ه", "ۃ": "ة",
    "ٶ": "ؤ", "ٸ": "ئ", "ڪ": "ك",
    "ൺ": "ണ്", "ൻ": "ന്", "ർ": "ര്", "ൽ": "ല്", "ൾ": "ള്", "ൿ": "ക്", "ൔ": "മ്", "ൕ": "യ്", "ൖ": "ഴ്",
    "ൌ": "ൗ", "ৎ": "ত্",
    "\u0e40\u0e40": "\u0e41", "\u0ec0\u0ec0": "\u0ec1",  # Thai and Lao: two of sara e for sara ae
}  # fmt: skip
_AMHARIC = {0x1210: 0x1200, 0x1280: 0x1200, 0x1220: 0x1230, 0x12D0: 0x12A0, 0x1340: 0x1338}
# Offsets in the blocks of the Indic scripts, which all have the layout of ISCII.
_STOPS = (
    (0x15, 0x19),
    (0x1A, 0x1E),
    (0x1F, 0x23),
    (0x24, 0x28),
    (0x2A, 0x2E),
)  # four, and their nasal
_ANUSVARA, _VIRAMA, _NUKTA = 0x02, 0x4D, 0x3C
_BINDU = (
    0x900,
    0x980,
    0xA00,
    0xA80,
    0xB00,
    0xC00,
    0xC80,
)  # that write a nasal before a stop as a dot
# Vowels put together from parts that look the same (the Unicode Standard, chapter 12: "use" and "do not use").
_VOWELS = {
    "अा": "आ", "अॅ": "ॲ", "अे": "ए", "अै": "ऐ", "अॉ": "ऑ", "अो": "ओ", "अौ": "औ", "आॅ": "ऑ", "आे": "ओ",
    "आै": "औ", "उु": "ऊ", "एॅ": "ऍ", "एे": "ऐ", "ाॅ": "ॉ", "ाे": "ो", "ाै": "ौ",
    "অা": "আ", "ੳੁ": "ਉ", "ੳੂ": "ਊ", "ੳੋ": "ਓ", "ਅਾ": "ਆ", "ਅੈ": "ਐ", "ਅੌ": "ਔ", "ੲਿ": "ਇ", "ੲੀ": "ਈ",
    "ੲੇ": "ਏ", "અા": "આ", "અૅ": "ઍ", "અે": "એ", "અૈ": "ઐ", "અૉ": "ઑ", "અો": "ઓ", "અૌ": "ઔ",
    "ଅା": "ଆ", "ଏୗ": "ଐ", "ଓୗ": "ଔ", "ஒள": "ஔ", "ఒౌ": "ఔ", "ఒౕ": "ఓ", "ఒో": "ఓ", "ಒೌ": "ಔ",
    "ഇൗ": "ഈ", "ഉൗ": "ഊ", "എെ": "ഐ", "ഒാ": "ഓ", "ഒൗ": "ഔ",
}  # fmt: skip


@functools.cache
def _signs() -> dict[int, str | None]:
    """Every letter that is one other letter, or none: digits, apostrophes, the forms of `_SAME`."""
    table: dict[int, str | None] = {ord(a): b for a, b in _SAME.items() if len(a) == 1}
    for point in range(0x80, sys.maxunicode + 1):
        letter = chr(point)
        if letter.isdecimal():
            table[point] = str(unicodedata.decimal(letter))
    for first, other in _AMHARIC.items():
        table |= {first + i: chr(other + i) for i in range(8)}
    table |= {0x1203: "ሀ", 0x1213: "ሀ", 0x1283: "ሀ", 0x12A3: "አ", 0x12D3: "አ"}
    table |= {ord(sign): "'" for sign in APOSTROPHES}
    return table


@functools.cache
def _doubtful_letters() -> re.Pattern[str]:
    """Any letter that `_respelled` may change, of the first plane: a class that goes beyond it is searched 50 times
    as slowly."""
    points = {point for point in _signs() if point != ord("'")}
    points |= {base + sign for base in _BINDU for sign in (_VIRAMA, _NUKTA)}
    points |= {ord(part[0]) for part in _VOWELS} | {
        0x0D4D,
        0x0E40,
        0x0EC0,
        *range(0x958, 0x960),
        *_DOTS,
    }
    signs = "".join(re.escape(chr(point)) for point in sorted(points) if point < 0x10000)
    return re.compile(f"[{signs}{_HIDDEN_SIGNS}]")


def _doubtful(text: str) -> bool:
    """Whether `_respelled` may change something. Nearly all text has nothing of the kind."""
    return bool(_doubtful_letters().search(text) or _BEYOND.search(text))


@functools.cache
def _nasals() -> re.Pattern[str]:
    """A nasal that is written in full before a stop of its own place."""
    found = []
    for base in _BINDU:
        for first, nasal in _STOPS:
            stop = f"[{chr(base + first)}-{chr(base + first + 3)}]"
            found.append(f"{chr(base + nasal)}{chr(base + _VIRAMA)}(?={stop})")
    return re.compile("|".join(found))


_PARTED = re.compile("|".join(map(re.escape, _VOWELS)))
_DOTS = str.maketrans(
    "\u0901\u0981\u0a01\u0a70\u0a81\u0b01\u0c01\u0c81",
    "\u0902\u0982\u0a02\u0a02\u0a82\u0b02\u0c02\u0c82",
)  # candrabindu and Gurmukhi's tippi to anusvara
_NUKTAS = re.compile("(?<![\u0921\u0922])\u093c")  # those of ड़ and ढ़ make letters of their own
_SARA = re.compile("\u0e40\u0e40|\u0ec0\u0ec0")
_INDIC = re.compile("[\u0900-\u0dff]")
_TWICE = re.compile(
    "\u0d4d{2,}|\u0d41\u0d4d"
)  # Malayalam: a chillu and a virama; the half-u written in full


def _respelled(text: str) -> str:
    """One letter for each that has several, in a text in NFC or NFKC."""
    text = _TAGS.sub("", _HIDDEN.sub("", text)).translate(_signs())
    if _INDIC.search(text):
        text = _PARTED.sub(lambda found: _VOWELS[found[0]], text)
        text = _TWICE.sub("\u0d4d", text)
    return _SARA.sub(lambda found: _SAME[found[0]], text)


def one_spelling(text: str) -> str:
    """Words in the scripts of India, in the spelling that all others are taken for: a nasal before a stop is a dot,
    no moon under a dot, no nukta but that of ड़ and ढ़. `text` as `letters` leaves it."""
    if text.isascii() or not _INDIC.search(text):
        return text
    text = _NUKTAS.sub("", text.translate(_DOTS))
    return _nasals().sub(lambda found: chr((ord(found[0][0]) & ~0x7F) + _ANUSVARA), text)


_FRACTION = re.compile("[\u00bc-\u00be\u2150-\u215e\u2189]")


def letters(text: str) -> str:
    """One form of every letter, accents and case as they are; in NFKC.

    A fraction stands by itself, as "½" is "1/2" and "2½" no 21.
    """
    if text.isascii():
        return text
    if _FRACTION.search(text):
        text = _FRACTION.sub(lambda found: f" {found[0]} ", text)
    text = unicodedata.normalize("NFKC", text)
    return unicodedata.normalize("NFC", _respelled(text)) if _doubtful(text) else text


def lower(text: str, lang: str) -> str:
    """Small letters, as the language has them."""
    if lang in TURKIC and "I" in text:
        text = text.replace("I\u0307", "i").replace("I", "ı")
    if "İ" in text:  # nobody else's: it is no i with a dot above
        text = text.replace("İ", "i")
    return text.lower()


# -- folding ----------------------------------------------------------------------------------------

# Accents, harakat, the signs of the Quran, niqqud, half marks.
_ACCENTS = "\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
_POINTS = "\u0591-\u05bd\u05bf-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed\u08d3-\u08ff"
_STRIPPED = re.compile(f"[{_ACCENTS}{_POINTS}]")
_POINTED = re.compile(f"[{_POINTS}]")
_CARRIED = re.compile("[وىیيۍ]\u0654")  # a hamza on a letter that is there to carry it
_BASES = {
    "œ": "oe", "æ": "ae", "þ": "th", "ѣ": "е", "ґ": "г", "ѳ": "ф", "ѵ": "и",
    "ß": "ss", "ς": "σ", "ـ": "", "ي": "ی", "ك": "ک", "ى": "ی", "ې": "ی", "ہ": "ه", "ھ": "ه", "ة": "ه", "'": "",
}  # fmt: skip
_CANDRAS = {"ॲ": "अ", "ऍ": "ए", "ऎ": "ए", "ऑ": "ओ", "ऒ": "ओ", "ॅ": "े", "ॆ": "े", "ॉ": "ो", "ॊ": "ो"}
_BARE = {"ł": "l", "ø": "o", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "ŧ": "t"}
# Two letters that are typed for one, in the Nordic languages, German, and those of the Serbs and Croats.
_TWO = {"å": "aa", "ø": "oe", "ö": "oe", "ä": "ae", "ü": "ue", "đ": "dj"}
_TWO |= {letter.upper(): two for letter, two in _TWO.items()} | {"ऑ": "आ", "ॉ": "ा"}
_OTHERWISE = re.compile(f"[{''.join(_TWO)}\u0624\u0626]")
_KANJI = re.compile("[\u3041-\u9fff\U00020000-\U000323af]")

_KEPT_LETTERS = str.maketrans(_BASES | _CANDRAS)
_LETTERS = str.maketrans(_BASES | _CANDRAS | _BARE)
_PAIRS = str.maketrans(_TWO)


def fold(text: str) -> str:
    """The form in which words are compared: no case, no accents, one form of every letter."""
    return bare(letters(text))


def bare(text: str) -> str:
    """`fold` of a text that `letters` has gone through."""
    if text.isascii():
        return text.lower().replace("'", "")
    parted = unicodedata.normalize("NFD", one_spelling(text))
    parted = _STRIPPED.sub("", _CARRIED.sub("ء", parted) if "\u0654" in parted else parted)
    folded = unicodedata.normalize("NFC", parted).casefold().translate(_LETTERS)
    return folded.translate(_characters()) if _KANJI.search(folded) else folded


def other(text: str) -> str | None:
    """`bare` with the other spelling that words may have, None where there is none: koebenhavn of "københavn".

    Two letters for one, a hamza's letter without it, Hindi's open o as a. `text` as for `bare`.
    """
    if text.isascii() or not _OTHERWISE.search(text):
        return None
    found = text.translate(_PAIRS)
    if "\u0624" in found or "\u0626" in found:
        found = found.replace("\u0624", "و").replace("\u0626", "ی")
    return bare(found)


def accented(text: str) -> str:
    """`bare`, but with accents, and in the scripts of India spelled as it is. `text` as for `bare`."""
    if text.isascii():
        return bare(text)
    found = unicodedata.normalize("NFD", text.lower())
    return unicodedata.normalize("NFC", _POINTED.sub("", found)).translate(_KEPT_LETTERS)


@functools.cache
def _characters() -> dict[int, str]:
    """Katakana to hiragana, by their names in Unicode; traditional and Japanese characters to simplified ones."""
    import opencc

    table = {}
    for point in range(0x30A1, 0x30FB):
        try:
            name = unicodedata.name(chr(point)).replace("KATAKANA", "HIRAGANA")
            table[point] = unicodedata.lookup(name)
        except (KeyError, ValueError):  # some kana have no counterpart
            continue
    table |= {0x30FD: "ゝ", 0x30FE: "ゞ"}
    blocks = ((0x3400, 0x4DC0), (0x4E00, 0xA000), (0x20000, 0x323B0))
    points = [point for first, end in blocks for point in range(first, end)]
    written = "\n".join(map(chr, points))
    simple = opencc.OpenCC("t2s").convert(written).split("\n")
    older = opencc.OpenCC("t2s").convert(opencc.OpenCC("jp2t").convert(written)).split("\n")
    for point, to, through in zip(points, simple, older, strict=True):
        found = to if to != chr(point) else through
        if len(found) == 1 and found != chr(point):
            table[point] = found
    for point, found in list(
        table.items()
    ):  # to the end of each chain, so that folding twice is folding once
        seen = {chr(point)}
        while (more := table.get(ord(found), found)) != found and more not in seen:
            seen.add(found)
            found = more
        table[point] = found
    return {point: found for point, found in table.items() if found != chr(point)}


# -- Serbian, in both alphabets -----------------------------------------------------------------------

_SERBIAN = dict(
    zip("абвгдђежзијклљмнњопрстћуфхцчџш", "a b v g d đ e ž z i j k l lj m n nj o p r s t ć u f h c č dž š".split(), strict=True)
) | {"ѓ": "gj", "ќ": "kj", "ѕ": "dz"}  # fmt: skip
_LATIN = str.maketrans(_SERBIAN)
_ALL_SERBIAN = re.compile(f"[{''.join(_SERBIAN)}\n]+")


def latin(text: str) -> str:
    """Words in Serbian or Macedonian Cyrillic, in small letters, in Latin ones; unchanged if they are not all so."""
    return text.translate(_LATIN) if _ALL_SERBIAN.fullmatch(text) else text
