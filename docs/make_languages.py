"""Writes docs/languages.md, what is done with the words of each language: `python docs/make_languages.py`, `make docs`."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

from indexer.encoders.local_models import ACCURATE, FAST
from indexer.encoders.tokenizer_files import find, open_tokenizer
from indexer.text.analysis import STEMMERS, TWO_ALPHABETS, unspaced
from indexer.text.languages import NAMES
from indexer.text.lemmas import DICTIONARIES
from indexer.text.spelling import TURKIC

ROOT = Path(__file__).resolve().parent.parent
# What each language calls itself: what script it is written in, and how its words are cut, is seen in that.
OWN = {
    "af": "Afrikaans", "am": "አማርኛ", "ar": "العربية", "as": "অসমীয়া", "az": "azərbaycanca", "ba": "башҡортса",
    "be": "беларуская", "bg": "български", "bn": "বাংলা", "bo": "བོད་སྐད", "br": "brezhoneg", "bs": "bosanski",
    "ca": "català", "cs": "čeština", "cy": "Cymraeg", "da": "dansk", "de": "Deutsch", "dz": "རྫོང་ཁ", "el": "Ελληνικά",
    "en": "English", "eo": "Esperanto", "es": "español", "et": "eesti", "eu": "euskara", "fa": "فارسی", "fi": "suomi",
    "fo": "føroyskt", "fr": "français", "fy": "Frysk", "ga": "Gaeilge", "gd": "Gàidhlig", "gl": "galego",
    "gu": "ગુજરાતી", "ha": "Hausa", "he": "עברית", "hi": "हिन्दी", "hr": "hrvatski", "ht": "kreyòl", "hu": "magyar",
    "hy": "հայերեն", "id": "Indonesia", "ig": "Igbo", "is": "íslenska", "it": "italiano", "ja": "日本語",
    "jv": "Jawa", "ka": "ქართული", "kk": "қазақша", "km": "ខ្មែរ", "kn": "ಕನ್ನಡ", "ko": "한국어", "ku": "kurdî",
    "ky": "кыргызча", "la": "Latina", "lb": "Lëtzebuergesch", "lg": "Luganda", "ln": "lingála", "lo": "ລາວ",
    "lt": "lietuvių", "lv": "latviešu", "mg": "malagasy", "mk": "македонски", "ml": "മലയാളം", "mn": "монгол",
    "mr": "मराठी", "ms": "Melayu", "mt": "Malti", "my": "မြန်မာ", "ne": "नेपाली", "nl": "Nederlands", "nn": "nynorsk",
    "no": "norsk", "oc": "occitan", "om": "Oromoo", "or": "ଓଡ଼ିଆ", "pa": "ਪੰਜਾਬੀ", "pl": "polski", "ps": "پښتو",
    "pt": "português", "qu": "Runasimi", "ro": "română", "ru": "русский", "rw": "Kinyarwanda", "sa": "संस्कृतम्",
    "si": "සිංහල", "sk": "slovenčina", "sl": "slovenščina", "sn": "chiShona", "so": "Soomaali", "sq": "shqip",
    "sr": "српски", "st": "Sesotho", "sv": "svenska", "sw": "Kiswahili", "ta": "தமிழ்", "te": "తెలుగు",
    "tg": "тоҷикӣ", "th": "ไทย", "tk": "türkmen", "tl": "Tagalog", "tr": "Türkçe", "tt": "татар", "ug": "ئۇيغۇرچە",
    "uk": "українська", "ur": "اردو", "uz": "oʻzbekcha", "vi": "Tiếng", "xh": "isiXhosa", "yi": "ייִדיש",
    "yo": "Yorùbá", "zh": "中文", "zu": "isiZulu",
}  # fmt: skip
# The other spellings that are taken for one, in every language: by the script of what a language calls itself.
_SPELLINGS = {
    "LATIN": "accents",
    "CYRILLIC": "accents; ґ/г; apostrophes",
    "GREEK": "accents, also ancient ones; final sigma",
    "ARABIC": "harakat; ي/ی, ك/ک, ه/ہ/ھ, ة/ه, hamza",
    "HEBREW": "niqqud; gershayim",
    "DEVANAGARI": "nasals, candrabindu, nukta, open o",
    "BENGALI": "nasals, candrabindu, khanda ta",
    "GURMUKHI": "nasals, tippi",
    "GUJARATI": "nasals, candrabindu",
    "ORIYA": "nasals, candrabindu",
    "TELUGU": "nasals, candrabindu",
    "KANNADA": "nasals, candrabindu",
    "MALAYALAM": "chillu, nta, half u",
    "CJK": "traditional and Japanese characters; kana",
    "THAI": "sara ae, sara am",
    "LAO": "sara ae",
    "ETHIOPIC": "letters of one sound",
}
_MORE = {"he": "prefixes", "yi": "", "da": "å aa, ø oe", "no": "å aa, ø oe", "nn": "å aa, ø oe", "fo": "ø oe",
         "sv": "å aa, ä ae, ö oe", "fi": "ä ae, ö oe", "de": "ä ae, ö oe, ü ue, ß ss", "is": "ö oe, þ th"}  # fmt: skip
# Languages of the pairs that `fast` was trained on (its model card).
TAUGHT = frozenset(
    (
        "af am ar az be bg bn bs ca cs cy da de el en eo es et eu fa fi fr ga gl gu he hi hr hu hy id is it ja ka "
        "kk km kn ko ky lo lt lv mk ml mn mr ms my ne nl no pa pl pt ro ru si sk sl sq sr sv sw ta te th tl tr tt "
        "uk ur uz vi zh "
    ).split()
)
HEAD = """# Languages

Made by `make docs` from the tables of the code: what becomes of the words of each language, and whether the encoders
that ship can read its letters. A language that is not here is searched too, by its words as written.

- **Cut**: how a text becomes words. `spaces`: Unicode words. `bigrams`: pairs of characters, and single ones beside
  them. `spaces, bigrams`: words, with their pairs of syllables beside them.
- **Stemmer**: Snowball's (PyStemmer), of the language or of a close one. **Dictionary**: simplemma's; a word is found
  by its stem and by the stem of its dictionary form, so that Czech *psa* finds *pes*.
- **One spelling**: what else is typed for a letter. In every language, besides: signs that nobody sees vanish, digits
  of all scripts are one, apostrophes of all kinds are one, *wi-fi* is *wifi* too and *45,000* is *45000*, two letters
  are taken for å ä æ ø ö ü đ (*Muenchen*), C++ and C# are words, and Turkish capitals are made small as Turkish.
- **fast**, **accurate**: whether the encoder has tokens for its letters. Where it has none, words alone find a text.
  `fast` was `trained` on translations of the language, or knows of it what it shares with others. It found the translations of
  91% of the sentences of nine languages that it has been trained on much, and of 56% of twelve that it knows from catalogues of
  programs and dictionaries (NTREX-128, [benchmarks/results/students.md](../benchmarks/results/students.md)); `accurate`
  98% and 97%.

The families of words in `tests/word_families.txt` say how many forms of a word find each other: 32 of 100 pairs by
stems alone, 85 by dictionary forms alone, 90 by both, in 49 languages.

| language | | cut | stemmer | dictionary | one spelling | fast | accurate |
|---|---|---|---|---|---|---|---|
"""


def page() -> str:
    """The whole of docs/languages.md."""
    encoders = [_reads(FAST), _reads(ACCURATE)]
    lines = []
    for code, name in sorted(NAMES.items(), key=lambda pair: pair[1]):
        letters = _letters(code)
        stemmer = STEMMERS.get(code, "")
        cells = [
            name,
            f"`{code}`",
            _cut(code),
            stemmer.capitalize(),
            DICTIONARIES.get(code, ""),
            _spelling(code),
            *_known(code, *(reads(letters) for reads in encoders)),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return HEAD + "\n".join(lines) + "\n"


def _known(code: str, fast: str, accurate: str) -> tuple[str, str]:
    return "trained" if fast == "yes" and code in TAUGHT else fast, accurate


def script(code: str) -> str:
    """The script of a language, as Unicode's names of letters begin."""
    letter = next(letter for letter in OWN[code] if letter.isalpha() and letter != "ʻ")
    return unicodedata.name(letter).replace("-", " ").split()[0]


def _cut(code: str) -> str:
    if script(code) == "HANGUL":
        return "spaces, bigrams"
    return "bigrams" if unspaced(OWN[code]) else "spaces"


def _spelling(code: str) -> str:
    parts = [_SPELLINGS.get(script(code), ""), _MORE.get(code, "")]
    if code in TWO_ALPHABETS:
        parts.append("both alphabets")
    if code in TURKIC:
        parts.append("capital I is ı")
    return "; ".join(filter(None, parts))


def _letters(code: str) -> list[str]:
    """Letters that whoever reads the language must know."""
    kind = script(code)
    if kind == "CJK":  # the 3,755 most used of the standard of 1980
        rows = (bytes([row, cell]) for row in range(0xB0, 0xD8) for cell in range(0xA1, 0xFF))
        return [text for block in rows if len(text := block.decode("gb2312", "ignore")) == 1]
    if kind == "HANGUL":
        rows = (bytes([row, cell]) for row in range(0xB0, 0xC9) for cell in range(0xA1, 0xFF))
        return [block.decode("euc_kr") for block in rows]
    if kind == "GREEK":
        return [chr(point) for point in range(0x3B1, 0x3CA)]
    if kind in ("LATIN", "CYRILLIC", "ARABIC"):
        return sorted(
            {letter for letter in OWN[code].lower() if letter.isalpha() and letter != "ʻ"}
        )
    letters = [
        chr(point)
        for point in range(0x370, 0x1800)
        if unicodedata.category(chr(point)) in ("Lo", "Ll")
    ]
    same = [letter for letter in letters if unicodedata.name(letter).startswith(f"{kind} ")]
    own = {letter for letter in OWN[code] if letter.isalpha()}
    low = min(map(ord, own)) & ~0x7F
    return (
        [letter for letter in same if low <= ord(letter) < low + 0x80]
        if kind != "ETHIOPIC"
        else same[:200]
    )


def _reads(folder: Path) -> Callable[[Sequence[str]], str]:
    """Whether the tokenizer in a folder knows letters: yes, no, or the share that it knows."""
    tokenizer = open_tokenizer(find(folder))
    unknown = tokenizer.encode("\U00010600", add_special_tokens=False).ids[-1]

    def known(letters: Sequence[str]) -> str:
        found = tokenizer.encode_batch_fast(list(letters), add_special_tokens=False)
        share = sum(unknown not in each.ids for each in found) / len(found)
        return "yes" if share > 0.75 else "no" if share < 0.1 else f"{share:.0%} of letters"

    return known


if __name__ == "__main__":
    (ROOT / "docs" / "languages.md").write_text(page(), "utf-8", newline="\n")
