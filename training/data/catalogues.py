"""Parallel texts out of translation catalogues: what programs, dictionaries and character names come with.

Four kinds, known by their names in the folders that are searched:

    XX/LC_MESSAGES/*.mo              gettext's compiled messages, English to XX
    en.json, XX.json in one folder   messages by key: a text, or an object with "message"
    eng-fin.dict(.dz), fin-eng...    a dictionary of FreeDict, in dictd's format
    en/annotations.json, XX/...      CLDR's names and keywords of characters

Programs' texts are short and full of signs; placeholders and markup are taken out, and what is not a text then, or not
in the script of its language, is left out.
"""

from __future__ import annotations

import html
import json
import re
import struct
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from configs.errors import ConfigError, DocumentError
from indexer.text import lemmas
from indexer.text.compression import open_text
from indexer.text.languages import NAMES, normal

__all__ = ["Catalogues", "inflected", "read_catalogues"]

LONGEST = 500  # characters of a text
SENSES = 3  # translations of a dictionary's entry that are taken
KEYWORDS = 6  # of a character
FORMS = 2  # translations of an inflected form
Reader = Callable[[Path], Iterator[tuple[str, str, str]]]
"""Of a file, its (language, English, other)."""

# FreeDict names languages by three letters (ISO 639-3)
_FREEDICT = {
    "afr": "af", "ara": "ar", "bul": "bg", "cat": "ca", "ces": "cs", "cym": "cy", "dan": "da", "deu": "de",
    "ell": "el", "epo": "eo", "fin": "fi", "fra": "fr", "gle": "ga", "hin": "hi", "hrv": "hr", "hun": "hu",
    "ind": "id", "isl": "is", "ita": "it", "jpn": "ja", "kat": "ka", "lit": "lt", "nld": "nl", "nor": "no",
    "pol": "pl", "por": "pt", "rom": "ro", "rus": "ru", "slk": "sk", "slv": "sl", "spa": "es", "srp": "sr",
    "swe": "sv", "swh": "sw", "tur": "tr",
}  # fmt: skip
_MARKUP = re.compile(
    r"<[^<>]{1,120}>|\{\{[^{}]*\}\}|%\(\w+\)[a-z]|%\d*\$?[a-zA-Z]|\$\w+|\{\w*\}|\[?https?://\S+|''+|\[\[|\]\]|&\w+;"
)
_ACCELERATOR = re.compile(r"(?<!\w)[_&](?=\w)|(?<=\w)&(?=\w)|\(&?\w\)$")
_HEADWORD = re.compile(r"^(.+?) /.*/|^(\S.*?) <[a-z, ]+>$")


@dataclass(slots=True)
class Catalogues:
    """Pairs (English, other) by language, each once, in the order they were met; what was left out is counted."""

    pairs: dict[str, dict[tuple[str, str], None]] = field(default_factory=lambda: defaultdict(dict))
    left_out: int = 0

    def add(self, language: str, english: str, other: str) -> None:
        """A message of several paragraphs is several pairs where both sides have as many."""
        sides = english.split("\n\n"), other.split("\n\n")
        if len(sides[0]) != len(sides[1]):
            sides = [english], [other]
        for one, two in zip(*sides, strict=True):
            pair = _clean(one), _clean(two)
            if _usable(*pair):
                self.pairs[language][pair] = None
            else:
                self.left_out += 1


def read_catalogues(folder: Path) -> Catalogues:
    """All pairs of the catalogues under `folder`.

    Raises ConfigError when there is no catalogue, DocumentError for a file that cannot be read.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder}: there is no such folder of catalogues")
    found = Catalogues()
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    read = 0
    for path in files:
        reader = _reader(path)
        if reader is None:
            continue
        read += 1
        try:
            for language, english, other in reader(path):
                if language in NAMES and language != "en":
                    found.add(language, english, other)
        except (OSError, ValueError, LookupError, struct.error, EOFError) as error:
            raise _unreadable(path, error) from error
    if not read:
        raise ConfigError(
            f"{folder}: holds no catalogue; XX/LC_MESSAGES/*.mo, XX.json beside en.json, eng-fin.dict.dz or "
            "XX/annotations.json are looked for"
        )
    for pairs in found.pairs.values():
        foreign = _of_another_script(pairs)
        found.left_out += len(foreign)
        for pair in foreign:
            del pairs[pair]
    return found


def _unreadable(path: Path, reason: object) -> DocumentError:
    return DocumentError(f"{path}: cannot be read as a catalogue ({reason})")


def inflected(pairs: Iterable[tuple[str, str]], language: str) -> list[tuple[str, str]]:
    """(English, form) of every word in the other sides that is a form of a word which stands there by itself.

    Dictionaries have "talo", and texts "taloissa": without its forms a word of Finnish or Hungarian is seldom recognised.
    Each form has the first `FORMS` translations. Empty for a language that simplemma has no dictionary of.
    """
    if language not in lemmas.DICTIONARIES:
        return []
    meanings: dict[str, list[str]] = defaultdict(list)
    words: dict[str, None] = {}
    for english, other in pairs:
        found = re.findall(r"[^\W\d_]{3,}", other.lower())
        words.update(dict.fromkeys(found))
        if found == [other.lower()] and english not in meanings[found[0]]:
            meanings[found[0]].append(english)
    unknown = [word for word in words if not meanings.get(word)]
    return [
        (english, form)
        for form, lemma in zip(unknown, lemmas.lemmas(unknown, language), strict=True)
        for english in meanings.get(lemma, ())[:FORMS]
    ]


def _reader(path: Path) -> Reader | None:
    """What reads the file, or with an English one those beside it; None if it is no catalogue."""
    name = path.name
    if name.endswith(".mo") and path.parent.name == "LC_MESSAGES":
        return _messages
    if name == "en.json":
        return _keyed
    if name == "annotations.json" and path.parent.name == "en":
        return _annotations
    if name.endswith((".dict", ".dict.dz")) and _directions(name):
        return _dictionary
    return None


def _messages(path: Path) -> Iterator[tuple[str, str, str]]:
    """The format is in gettext's manual, "The Format of GNU MO Files". Forms of a plural are joined by NUL, a context
    stands before its text and a \\x04; the empty text is the header."""
    data = path.read_bytes()
    order = {0x950412DE: "<", 0xDE120495: ">"}.get(int.from_bytes(data[:4], "little"))
    if order is None:
        raise ValueError("no file of compiled messages")
    count, originals, translations = struct.unpack_from(f"{order}3I", data, 8)

    def text(table: int, number: int) -> bytes:
        length, start = struct.unpack_from(f"{order}2I", data, table + 8 * number)
        return bytes(data[start : start + length]).split(b"\0")[0]

    texts = [(text(originals, n), text(translations, n)) for n in range(count)]
    declared = re.search(rb"charset=([\w.-]+)", dict(texts).get(b"", b""))
    charset = declared[1].decode("ascii") if declared else "utf-8"
    language = normal(path.parent.parent.name)
    for original, translation in texts:
        if original:
            english = original.decode(charset).split("\x04")[-1]
            yield language, english, translation.decode(charset)


def _keyed(english_file: Path) -> Iterator[tuple[str, str, str]]:
    english = _texts(english_file)
    for path in sorted(english_file.parent.glob("*.json")):
        language = normal(path.stem)
        if language in NAMES and path != english_file:
            for key, other in _texts(path).items():
                if key in english:
                    yield language, english[key], other


def _texts(path: Path) -> dict[str, str]:
    found = {}
    for key, value in _object(path).items():
        text = value.get("message") if isinstance(value, dict) else value
        if isinstance(text, str):
            found[key] = text
    return found


def _annotations(english_file: Path) -> Iterator[tuple[str, str, str]]:
    english = _characters(english_file)
    for path in sorted(english_file.parent.parent.glob("*/annotations.json")):
        language = normal(path.parent.name)
        if language not in NAMES or path == english_file:
            continue
        for character, names in _characters(path).items():
            known = english.get(character, {})
            if names.get("tts") and known.get("tts"):
                yield language, known["tts"][0], names["tts"][0]
            if names.get("default") and known.get("default"):
                lists = (known["default"], names["default"])
                one, two = (", ".join(words[:KEYWORDS]) for words in lists)
                yield language, one, two


def _characters(path: Path) -> dict[str, dict[str, list[str]]]:
    content = _object(path)
    content = content.get("annotations") or content["annotationsDerived"]
    found: dict[str, dict[str, list[str]]] = content.get("annotations", content)
    return found


def _object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise _unreadable(path, error) from error
    if not isinstance(content, dict):
        raise _unreadable(path, "a JSON object of messages is expected")
    return content


def _directions(name: str) -> tuple[str, bool] | None:
    """(the language beside English, whether English is the side of the headwords) of a dictionary's file name."""
    one, _, other = name.split(".")[0].removeprefix("freedict-").partition("-")
    if one == "eng" and other in _FREEDICT:
        return _FREEDICT[other], True
    if other == "eng" and one in _FREEDICT:
        return _FREEDICT[one], False
    return None


def _dictionary(path: Path) -> Iterator[tuple[str, str, str]]:
    """An entry is a line `headword /pronunciation/ <class>`, then translations, numbered where there are several
    meanings; what follows explains them."""
    directions = _directions(path.name)
    assert directions is not None
    language, from_english = directions
    head, expected = "", False
    with open_text(path) as lines:
        for line in lines:
            line = line.rstrip("\n")
            if entry := _HEADWORD.match(line):
                head, expected = (entry[1] or entry[2]).strip(), True
                continue
            numbered = re.match(r"^\d+\. (.*)$", line)
            if not head or not line.strip() or not (expected or numbered):
                continue
            expected = False
            text = re.sub(r"\([^)]*\)|\[[^]]*\]|<[^>]*>", "", numbered[1] if numbered else line)
            for word in text.split(",")[:SENSES]:
                word = re.sub(r"\s+\d+\.$", "", word.strip())
                if word and len(word.split()) <= 5:
                    yield (language, head, word) if from_english else (language, word, head)


def _clean(text: str) -> str:
    """Without markup, placeholders and the marks of keyboard accelerators."""
    text = _ACCELERATOR.sub("", _MARKUP.sub(" ", html.unescape(text)))
    return re.sub(r"[*=#|~^\s]+", " ", text).strip(" :;,-")


def _usable(english: str, other: str) -> bool:
    """Whether these are two texts that may be translations."""
    if not (2 <= len(english) <= LONGEST and 1 <= len(other) <= LONGEST):
        return False
    if english.casefold() == other.casefold():
        return False
    if len(english) > 25 and not 0.35 < len(english) / len(other) < 3.5:
        return False
    return all(_letters(text) >= 0.55 * len(text) for text in (english, other))


def _letters(text: str) -> int:
    """How many characters are letters, or marks on them."""
    return sum(unicodedata.category(character)[0] in "LM" for character in text)


def _of_another_script(pairs: Mapping[tuple[str, str], None]) -> list[tuple[str, str]]:
    """The pairs whose other side is not in the script of most of them: texts that nobody translated, mostly."""
    scripts = {pair: _script(pair[1]) for pair in pairs}
    counts = Counter(scripts.values())
    # a language may be written in two scripts: one text in five is more than a mistake
    kept = {script for script, count in counts.items() if count * 5 >= len(pairs)}
    return [pair for pair, script in scripts.items() if script not in kept]


def _script(text: str) -> str:
    """The first word of Unicode's name of most letters; kana, hangul and ideographs are one script here."""
    names = (unicodedata.name(c, "?").split()[0] for c in text if c.isalpha())
    counts = Counter("CJK" if n in ("HIRAGANA", "KATAKANA", "HANGUL") else n for n in names)
    return counts.most_common(1)[0][0] if counts else ""
