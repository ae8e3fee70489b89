"""Which language a text is in, and what languages are called.

Detection is py3langid's (on 4,620 short sentences in 22 languages it was right 97.2% of the time); its
model takes over half a second to load, so it is loaded at the first text that needs it.
"""

from __future__ import annotations

import collections
import functools
import math
import threading
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from configs.errors import ConfigError

__all__ = ["NAMES", "check", "detect", "distribution", "name", "normal", "prepare"]

NAMES = {
    "af": "Afrikaans", "am": "Amharic", "ar": "Arabic", "as": "Assamese", "az": "Azerbaijani",
    "ba": "Bashkir", "be": "Belarusian", "bg": "Bulgarian", "bn": "Bengali", "bo": "Tibetan",
    "br": "Breton", "bs": "Bosnian", "ca": "Catalan", "cs": "Czech", "cy": "Welsh", "da": "Danish",
    "de": "German", "dz": "Dzongkha", "el": "Greek", "en": "English", "eo": "Esperanto",
    "es": "Spanish", "et": "Estonian", "eu": "Basque", "fa": "Persian", "fi": "Finnish",
    "fo": "Faroese", "fr": "French", "fy": "Western Frisian", "ga": "Irish", "gd": "Scottish Gaelic",
    "gl": "Galician", "gu": "Gujarati", "ha": "Hausa", "he": "Hebrew", "hi": "Hindi",
    "hr": "Croatian", "ht": "Haitian Creole", "hu": "Hungarian", "hy": "Armenian",
    "id": "Indonesian", "ig": "Igbo", "is": "Icelandic", "it": "Italian", "ja": "Japanese",
    "jv": "Javanese", "ka": "Georgian", "kk": "Kazakh", "km": "Khmer", "kn": "Kannada",
    "ko": "Korean", "ku": "Kurdish", "ky": "Kyrgyz", "la": "Latin", "lb": "Luxembourgish",
    "lg": "Ganda", "ln": "Lingala", "lo": "Lao", "lt": "Lithuanian", "lv": "Latvian",
    "mg": "Malagasy", "mk": "Macedonian", "ml": "Malayalam", "mn": "Mongolian", "mr": "Marathi",
    "ms": "Malay", "mt": "Maltese", "my": "Burmese", "ne": "Nepali", "nl": "Dutch",
    "nn": "Norwegian Nynorsk", "no": "Norwegian", "oc": "Occitan", "om": "Oromo", "or": "Odia",
    "pa": "Punjabi", "pl": "Polish", "ps": "Pashto", "pt": "Portuguese", "qu": "Quechua",
    "ro": "Romanian", "ru": "Russian", "rw": "Kinyarwanda", "sa": "Sanskrit", "si": "Sinhala",
    "sk": "Slovak", "sl": "Slovenian", "sn": "Shona", "so": "Somali", "sq": "Albanian",
    "sr": "Serbian", "st": "Southern Sotho", "sv": "Swedish", "sw": "Swahili", "ta": "Tamil",
    "te": "Telugu", "tg": "Tajik", "th": "Thai", "tk": "Turkmen", "tl": "Tagalog",
    "tr": "Turkish", "tt": "Tatar", "ug": "Uyghur", "uk": "Ukrainian", "ur": "Urdu",
    "uz": "Uzbek", "vi": "Vietnamese", "xh": "Xhosa", "yi": "Yiddish", "yo": "Yoruba",
    "zh": "Chinese", "zu": "Zulu",
}  # fmt: skip

# Scripts that one of our languages has to itself: the first such letter decides, no model needed.
_SCRIPTS = (
    (0x0370, 0x03FF, "el"), (0x0530, 0x058F, "hy"), (0x0A00, 0x0A7F, "pa"), (0x0A80, 0x0AFF, "gu"),
    (0x0B00, 0x0B7F, "or"), (0x0B80, 0x0BFF, "ta"), (0x0C00, 0x0C7F, "te"), (0x0C80, 0x0CFF, "kn"),
    (0x0D00, 0x0D7F, "ml"), (0x0D80, 0x0DFF, "si"), (0x0E00, 0x0E7F, "th"), (0x0E80, 0x0EFF, "lo"),
    (0x1000, 0x109F, "my"), (0x10A0, 0x10FF, "ka"), (0x1780, 0x17FF, "km"),
    (0x3040, 0x30FF, "ja"), (0xAC00, 0xD7AF, "ko"),
)  # fmt: skip

# Languages that short texts of another are often mistaken for; they need three times the evidence.
_RARE = frozenset(
    "br dz eo fo fy ga gd ha ht ig jv ku la lb lg ln mg nn oc om qu rw sa sn so st tk ug xh yo zu".split()
)
# A query's language is one of the index's, unless there is good evidence that it is not.
_ELSEWHERE, _RARELY = 0.05, 0.01
_TOGETHER = 16  # texts for which going through them together pays
_READ = 200  # characters: more did not make detection better, and cost time


# Codes in wide use for languages that stand above under another: older, finer, or a country's.
_ALIASES = {
    "nb": "no", "iw": "he", "in": "id", "ji": "yi", "fil": "tl", "cmn": "zh", "arb": "ar",
}  # fmt: skip
_COUNTRIES = {
    "cz": "cs", "ua": "uk", "jp": "ja", "cn": "zh", "kr": "ko", "gr": "el", "dk": "da", "gb": "en",
    "us": "en", "at": "de", "ee": "et", "by": "be", "rs": "sr", "al": "sq", "ir": "fa", "in": "hi",
}  # fmt: skip


_LOADING = threading.Lock()


def normal(tag: str) -> str:
    """The code of a language tag as found in data: "pt-BR" -> "pt", "zh_Hans" -> "zh", "nb" -> "no"."""
    code = tag.strip().lower().replace("_", "-").partition("-")[0]
    return _ALIASES.get(code, code)


def name(code: str) -> str:
    """The English name of an ISO 639-1 code; the code itself when it is not known."""
    return NAMES.get(code, code)


def check(codes: Collection[str]) -> None:
    """ConfigError for a code that is no language, naming codes by their language name where that helps."""
    by_name = {title.casefold(): code for code, title in NAMES.items()}
    for code in codes:
        if code not in NAMES:
            folded = code.strip().casefold()
            cure = by_name.get(folded) or _COUNTRIES.get(folded) or normal(code)
            known = cure in NAMES
            hint = f"did you mean {cure}?" if known else "use ISO 639-1 codes such as en, cs, bn"
            raise ConfigError(f"language {code!r} is not known; {hint}")


def _identifier() -> Any:
    with _LOADING:  # a second thread waits for the first, and does not load it again
        return _loaded()


@functools.cache
def _loaded() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    # Dialect and extinct-language labels win on short texts far more often than they are right.
    identifier.set_languages([label for label in identifier.labels if label in NAMES])
    # A feature's numbers side by side, and as they are summed: halves are slow to widen each time.
    identifier.nb_ptc = np.ascontiguousarray(identifier.nb_ptc, np.float32)
    return identifier


@functools.cache
def _automaton() -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]:
    """Where each state begins among the transitions; the transitions; the feature that each state stands for."""
    identifier = _identifier()
    return (
        np.asarray(identifier.tk_row, np.int64) << 8,
        np.asarray(identifier.tk_nextmove, np.int32),
        np.asarray(identifier.tk_output, np.int32),
    )


def prepare() -> None:
    """Load what detection needs (half a second), in a thread that has nothing else to do."""
    _automaton()


def _by_script(text: str) -> str | None:
    """The language of a script only one language uses, judged on the first 32 characters."""
    head = text[:32]
    if head.isascii():
        return None
    found = None
    for character in head:
        point = ord(character)
        if point < 0x370:
            continue
        for low, high, code in _SCRIPTS:
            if low <= point <= high:
                if found not in (None, code):
                    return None
                found = code
                break
        else:
            if found != "ja" and character.isalpha() and not 0x4E00 <= point <= 0x9FFF:
                return None
    letters = sum(character.isalpha() for character in head)
    marked = sum(ord(character) >= 0x370 for character in head)
    return found if found and marked * 2 >= letters else None


def detect(texts: Sequence[str]) -> list[str]:
    """The ISO 639-1 code of each text; empty for a text without letters."""
    codes = []
    asked: list[tuple[int, str]] = []
    for i, text in enumerate(texts):
        head = text[:_READ].strip()
        code = _by_script(head) if any(map(str.isalpha, head)) else ""
        codes.append(code or "")
        if code is None:
            asked.append((i, head))
    for (i, _), code in zip(asked, _classified([head for _, head in asked]), strict=True):
        codes[i] = code
    return codes


def _classified(texts: Sequence[str]) -> list[str]:
    """py3langid's answers; another where a rare language has little more evidence than a common one."""
    if not texts:
        return []
    identifier = _identifier()
    labels = identifier.nb_classes
    codes = []
    for chances in _chances(texts):
        best = int(chances.argmax())
        code = labels[best]
        if code in _RARE:
            ranked = np.argsort(-chances, kind="stable")
            common = next(int(i) for i in ranked if labels[i] not in _RARE)
            if chances[common] * 3 > chances[best]:
                code = labels[common]
        codes.append(str(code))
    return codes


def _chances(texts: Sequence[str]) -> list[NDArray[np.float32]]:
    """What py3langid's `_decide` gives for each text, one number a label.

    Its automaton goes through the texts byte by byte; here through all of them at once, a byte of each at a
    time, which takes a sixth of the time.
    """
    identifier = _identifier()
    if len(texts) < _TOGETHER:
        return [identifier._decide(text) for text in texts]
    encoded = [identifier._encode(text) for text in texts]
    order = sorted(range(len(encoded)), key=lambda i: -len(encoded[i]))
    lengths = np.array([len(encoded[i]) for i in order])
    flat = np.frombuffer(b"".join(encoded[i] for i in order), np.uint8)
    starts = np.cumsum(lengths) - lengths
    bases, moves, outputs = _automaton()
    visited = np.full(
        (len(order), int(lengths[0])), -1, np.int32
    )  # features, in the order of the text
    states = np.zeros(len(order), np.int32)
    for place in range(int(lengths[0])):
        alive = int(np.searchsorted(-lengths, -place, side="left"))  # those with a byte here
        states = moves[bases[states[:alive]] + flat[starts[:alive] + place]]
        visited[:alive, place] = outputs[states]
    chances: list[NDArray[np.float32]] = [np.zeros(0, np.float32)] * len(texts)
    for row, i in enumerate(order):
        found = visited[row, : lengths[row]]
        chances[i] = _normalised(identifier, found[found >= 0].tolist(), int(lengths[row]))
    return chances


def _normalised(identifier: Any, features: list[int], length: int) -> NDArray[np.float32]:
    """The end of py3langid's `_decide`, for features found."""
    scores = np.zeros(len(identifier.nb_classes), np.float32)
    if features:
        scores = identifier._sparse_score(collections.Counter(features), identifier.nb_ptc)
    scores *= 1.0 / math.sqrt(length or 1)
    np.exp(scores - scores.max(), out=scores)
    scores /= scores.sum()
    for first, second in identifier._alias_pairs:
        scores[first] += scores[second]
        scores[second] = 0.0
    return scores


def distribution(text: str, among: Collection[str] = ()) -> dict[str, float]:
    """P(language | text) over all languages, those of `among` preferred. Sums to 1.

    The probabilities are py3langid's, tempered by the length of the text; a language outside `among`
    (the languages of an index) needs twenty times the evidence or more.
    """
    return dict(_distribution(text[:_READ].strip(), frozenset(among)))


@functools.lru_cache(1024)  # both sides and the fusion of a search ask for the same query
def _distribution(head: str, among: frozenset[str]) -> dict[str, float]:
    if not any(map(str.isalpha, head)):
        return {code: 1 / len(among) for code in among} if among else {}
    code = _by_script(head)
    if code is not None:
        return {code: 1.0}

    labels, prior = _prior(among)
    chances = _chances([head])[0].astype(np.float64)
    weighted = chances * prior
    weighted /= math.fsum(weighted.tolist())
    found = np.flatnonzero(weighted > 1e-3)
    found = found[np.argsort(-chances[found], kind="stable")]
    return {labels[i]: float(weighted[i]) for i in found}


@functools.lru_cache(64)
def _prior(among: frozenset[str]) -> tuple[list[str], NDArray[np.float64]]:
    """py3langid's labels, and how little evidence each is trusted with."""
    labels = list(_identifier().nb_classes)
    prior = np.ones(len(labels))
    for i, code in enumerate(labels):
        if among and code not in among:
            prior[i] = _RARELY if code in _RARE else _ELSEWHERE
    return labels, prior
