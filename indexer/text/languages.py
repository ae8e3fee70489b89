"""Which language a text is in, and what languages are called.

Detection is py3langid's (on 4,620 short sentences in 22 languages it was right 97.2% of the time). Its
model takes half a second to unpack: that is done once on a machine (`indexer.disk_cache`).
"""

from __future__ import annotations

import collections
import functools
import hashlib
import math
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from configs.errors import ConfigError
from indexer.disk_cache import derived
from indexer.text.spelling import visible

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


@dataclass(frozen=True, slots=True)
class _Model:
    """py3langid's model, of the languages that are known here."""

    labels: list[str]
    """Of each column; a language may have several."""
    likelihoods: NDArray[np.float16]
    """(features, labels)"""
    priors: NDArray[np.float32]
    """(labels,)"""
    moves: NDArray[np.unsignedinteger]
    """The automaton's rows of 256: the state that each byte leads to."""
    row: NDArray[np.unsignedinteger]
    """Of each state."""
    feature: NDArray[np.int32]
    """That each state stands for; -1: none."""
    twins: list[tuple[int, int]]
    """Columns of one language: the first, and another."""


def _model() -> _Model:
    with _LOADING:  # a second thread waits for the first, and does not load it again
        return _loaded()


@functools.cache
def _loaded() -> _Model:
    from py3langid.langid import MODEL_DIR, MODEL_FILE

    with (MODEL_DIR / MODEL_FILE).open("rb") as file:
        source = hashlib.file_digest(file, "sha256").digest()
    found = derived("languages", source + repr((1, sorted(NAMES))).encode(), _unpacked)
    labels = [label.decode() for label in found["labels"].view("S8").ravel().tolist()]
    first: dict[str, int] = {}
    twins = [(first[label], i) for i, label in enumerate(labels) if first.setdefault(label, i) != i]
    return _Model(
        labels,
        found["likelihoods"],
        found["priors"],
        found["moves"],
        found["row"],
        found["feature"],
        twins,
    )


def _unpacked() -> dict[str, NDArray[Any]]:
    """The arrays of `_Model`, from the file in py3langid."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE)
    # Dialect and extinct-language labels win on short texts far more often than they are right.
    identifier.set_languages([label for label in identifier.labels if label in NAMES])
    return {
        "labels": np.array(identifier.nb_classes, "S8").view(np.uint8),
        "likelihoods": np.ascontiguousarray(identifier.nb_ptc),
        "priors": np.asarray(identifier.nb_pc, np.float32),
        "moves": np.asarray(identifier.tk_nextmove),
        "row": np.asarray(identifier.tk_row),
        "feature": np.asarray(identifier.tk_output, np.int32),
    }


@functools.cache
def _wide() -> NDArray[np.float32]:
    """The likelihoods as they are summed: for many texts halves are slow to widen each time (45 MB)."""
    return _model().likelihoods.astype(np.float32)


@functools.cache
def _bases() -> NDArray[np.int64]:
    """Where each state begins among the moves."""
    return _model().row.astype(np.int64) << 8


def prepare() -> None:
    """Load what detection needs (half a second the first time on a machine), in a thread that has
    nothing else to do."""
    _model()


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
        head = visible(text[:_READ]).strip()
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
    labels = _model().labels
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

    Its automaton goes through the texts byte by byte; here through all of many at once, a byte of each at a
    time, which takes a sixth of the time.
    """
    from py3langid.langid import LanguageIdentifier

    encoded = [LanguageIdentifier._encode(text) for text in texts]
    if len(texts) < _TOGETHER:
        return [_normalised(_features(text), len(text)) for text in encoded]
    model, wide, bases = _model(), _wide(), _bases()
    order = sorted(range(len(encoded)), key=lambda i: -len(encoded[i]))
    lengths = np.array([len(encoded[i]) for i in order])
    flat = np.frombuffer(b"".join(encoded[i] for i in order), np.uint8)
    starts = np.cumsum(lengths) - lengths
    visited = np.full(
        (len(order), int(lengths[0])), -1, np.int32
    )  # features, in the order of the text
    states = np.zeros(len(order), model.moves.dtype)
    for place in range(int(lengths[0])):
        alive = int(np.searchsorted(-lengths, -place, side="left"))  # those with a byte here
        states = model.moves[bases[states[:alive]] + flat[starts[:alive] + place]]
        visited[:alive, place] = model.feature[states]
    chances: list[NDArray[np.float32]] = [np.zeros(0, np.float32)] * len(texts)
    for row, i in enumerate(order):
        found = visited[row, : lengths[row]]
        chances[i] = _normalised(found[found >= 0].tolist(), int(lengths[row]), wide)
    return chances


def _features(text: bytes) -> list[int]:
    """The features that py3langid's automaton finds, in the order of the text."""
    model = _model()
    # Read one by one, numbers come twice as fast out of these as out of arrays.
    moves, row, feature = model.moves.data, model.row.data, model.feature.data
    found, state = [], 0
    for byte in text:
        state = moves[(row[state] << 8) + byte]
        if feature[state] >= 0:
            found.append(feature[state])
    return found


def _normalised(
    features: list[int], length: int, wide: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """The end of py3langid's `_decide`, for features found."""
    model = _model()
    scores = np.zeros(len(model.labels), np.float32)
    if features:
        visits = collections.Counter(features)
        places = np.fromiter(visits.keys(), np.intp, len(visits))
        counts = np.fromiter(visits.values(), np.float32, len(visits))
        table = model.likelihoods[places].astype(np.float32) if wide is None else wide[places]
        scores = np.log1p(counts) @ table + model.priors
    scores *= 1.0 / math.sqrt(length or 1)
    np.exp(scores - scores.max(), out=scores)
    scores /= scores.sum()
    for first, second in model.twins:
        scores[first] += scores[second]
        scores[second] = 0.0
    return scores


def distribution(text: str, among: Collection[str] = ()) -> dict[str, float]:
    """P(language | text) over all languages, those of `among` preferred; languages of a thousandth or less are left out.

    The probabilities are py3langid's, tempered by the length of the text; a language outside `among`
    (the languages of an index) needs twenty times the evidence or more.
    """
    head = visible(text[:_READ]).strip()
    if not any(map(str.isalpha, head)):
        return {code: 1 / len(among) for code in among} if among else {}
    code = _by_script(head)
    if code is not None:
        return {code: 1.0}

    labels, prior = _prior(frozenset(among))
    chances = _chances([head])[0].astype(np.float64)
    weighted = chances * prior
    weighted /= math.fsum(weighted.tolist())
    found = np.flatnonzero(weighted > 1e-3)
    found = found[np.argsort(-chances[found], kind="stable")]
    return {labels[i]: float(weighted[i]) for i in found}


@functools.lru_cache(64)
def _prior(among: frozenset[str]) -> tuple[list[str], NDArray[np.float64]]:
    """py3langid's labels, and how little evidence each is trusted with."""
    labels = _model().labels
    prior = np.ones(len(labels))
    for i, code in enumerate(labels):
        if among and code not in among:
            prior[i] = _RARELY if code in _RARE else _ELSEWHERE
    return labels, prior
