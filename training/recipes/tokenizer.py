"""`train tokenizer`: one subword vocabulary for many languages.

Text is put into compatibility form (NFKC) and lower case, split at spaces and around punctuation, and
each word starts with a mark, so that the end of one word is no beginning of another. Chinese, Japanese
and the like, which have no spaces, are split by the vocabulary itself; pieces of theirs that begin
with the mark would stand twice, so they are taken out and the room goes to other pieces.
"""

from __future__ import annotations

import json
import math
import random
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from configs.errors import ConfigError
from configs.training_static import TokenizerSettings
from training.data.corpora import Pairs

if TYPE_CHECKING:
    from tokenizers import Tokenizer, normalizers

__all__ = ["UNKNOWN", "common_words", "lines_by_language", "sampled", "save", "train_tokenizer"]

UNKNOWN = "[UNK]"
MARK = "▁"
SPARE = 1.06  # a unigram vocabulary is trained this much too large, then cut
WORD_BONUS = 4.0

Languages = dict[str, tuple[list[str], list[float]]]
"""Language -> (lines, weights)."""


def lines_by_language(pairs: Pairs, language: str) -> Languages:
    """Language -> (lines, weights); `language` is the teacher's, each line of which counts once."""
    found: Languages = {language: ([], [])}
    known: set[str] = set()
    for source, target, number, weight in zip(
        pairs.sources, pairs.targets, pairs.language, pairs.weight, strict=True
    ):
        lines, weights = found.setdefault(pairs.languages[number], ([], []))
        lines.append(target)
        weights.append(float(weight))
        if source not in known:
            known.add(source)
            found[language][0].append(source)
            found[language][1].append(float(weight))
    return found


def sampled(languages: Languages, count: int, temperature: float, seed: int) -> list[str]:
    """About `count` lines: a language's share goes as its weight ** temperature.

    Lines of small languages come several times. (Devlin et al. 2019, multilingual BERT, sample the
    languages of their vocabulary so, with 0.7; Conneau and Lample 2019 with 0.5.)
    """
    rng = random.Random(seed)
    sums = {name: sum(weights) for name, (_, weights) in languages.items()}
    total = sum(value**temperature for value in sums.values() if value > 0)
    drawn: list[str] = []
    for name, (lines, weights) in languages.items():
        if not sums[name]:
            continue
        rate = count * sums[name] ** temperature / total / sums[name]
        for line, weight in zip(lines, weights, strict=True):
            times = int(weight * rate + rng.random())
            drawn.extend([line] * times)
    rng.shuffle(drawn)
    return drawn


def train_tokenizer(
    lines: Iterable[str], settings: TokenizerSettings, languages: Languages | None = None
) -> Tokenizer:
    """A tokenizer of `settings.size` pieces or, of a small corpus, fewer. The seed is in the lines' order.

    With `settings.words`, that many of the pieces are the commonest whole words of `languages`.
    Raises ConfigError when there is no text.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    lines = list(lines)
    if not any(map(str.strip, lines)):
        raise ConfigError("train tokenizer: there is no line to learn from; name corpora with text")
    if settings.kind == "wordpiece":
        model = models.WordPiece(unk_token=UNKNOWN, max_input_chars_per_word=100)
        tokenizer = Tokenizer(model)
        trainer: trainers.Trainer = trainers.WordPieceTrainer(
            vocab_size=settings.size, show_progress=False, special_tokens=[UNKNOWN]
        )
    else:
        tokenizer = Tokenizer(models.Unigram())
        trainer = trainers.UnigramTrainer(
            vocab_size=int((settings.size - settings.words) * SPARE),
            show_progress=False,
            special_tokens=[UNKNOWN],
            unk_token=UNKNOWN,
            max_piece_length=settings.piece,
            n_sub_iterations=2,
        )
    tokenizer.normalizer = _normalizer(settings.strip_accents)
    split: list[pre_tokenizers.PreTokenizer] = [
        pre_tokenizers.WhitespaceSplit(),
        pre_tokenizers.Punctuation("isolated"),
    ]
    if settings.kind == "unigram":
        split.append(
            pre_tokenizers.Metaspace(replacement=MARK, prepend_scheme="always", split=True)
        )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(split)
    tokenizer.train_from_iterator(_batches(lines), trainer, length=len(lines))
    if settings.kind == "wordpiece":
        return tokenizer
    words = common_words(languages or {}, settings) if settings.words else {}
    return _mended(tokenizer, settings.size - settings.words, words, settings.size)


def common_words(languages: Languages, settings: TokenizerSettings) -> dict[str, float]:
    """Word -> log probability, commonest first, over the languages as the temperature mixes them.

    A unigram vocabulary prefers parts that many words share, and leaves rare languages little else
    (Vietnamese "bệnh" became three pieces); a table of token vectors is better served by words. Han and
    kana, which are not written in words, are left to the unigram model.
    """
    total: defaultdict[str, float] = defaultdict(float)
    for lines, weights in languages.values():
        counts: defaultdict[str, float] = defaultdict(float)
        for line, weight in zip(lines, weights, strict=True):
            for word in _words(line):
                counts[word] += weight
        mass = sum(weights)
        factor = mass**settings.temperature / mass if mass else 0.0
        for word, count in counts.items():
            if count >= 3 and 1 < len(word) <= settings.piece + 4 and not _spaceless(word[0]):
                total[word] += count * factor
    everything = math.log(sum(total.values()) or 1.0)
    order = sorted(total.items(), key=lambda entry: (-entry[1], entry[0]))
    return {word: math.log(count) - everything for word, count in order}


def _words(line: str) -> list[str]:
    """As the pre-tokenizer splits: at spaces and around punctuation, in lower case."""
    text = line if line.isascii() else unicodedata.normalize("NFKC", line)
    return text.lower().translate(SPACED).split()


class _Spaced(dict[int, str]):
    """For str.translate: punctuation becomes a space, all else stays."""

    def __missing__(self, point: int) -> str:
        letter = chr(point)
        ascii_mark = point < 128 and not letter.isalnum() and not letter.isspace()
        cut = ascii_mark or unicodedata.category(letter).startswith("P")
        self[point] = " " if cut else letter
        return self[point]


SPACED = _Spaced()


def _normalizer(strip_accents: bool) -> normalizers.Normalizer:
    from tokenizers import Regex, normalizers

    steps: list[normalizers.Normalizer] = [normalizers.NFKC(), normalizers.Lowercase()]
    if strip_accents:
        steps = [
            normalizers.NFKD(),
            normalizers.Replace(Regex("[\\u0300-\\u036f]"), ""),
            normalizers.NFC(),
            normalizers.Lowercase(),
        ]
    return normalizers.Sequence(steps)


def _batches(lines: list[str], size: int = 1000) -> Iterator[list[str]]:
    for start in range(0, len(lines), size):
        yield lines[start : start + size]


def _spaceless(character: str) -> bool:
    """Han, kana, bopomofo and their extensions."""
    point = ord(character)
    return 0x3040 <= point <= 0x31FF or 0x3400 <= point <= 0x9FFF or 0x20000 <= point <= 0x3FFFF


def _mended(tokenizer: Tokenizer, pieces: int, words: dict[str, float], size: int) -> Tokenizer:
    """The `pieces` likeliest pieces, without marked ones of scripts that have no spaces, and `words`.

    Words get WORD_BONUS in log probability, so that a word of the vocabulary is never split.
    """
    from tokenizers import Tokenizer

    facts = json.loads(tokenizer.to_str())
    special, *rest = [(piece, score) for piece, score in facts["model"]["vocab"]]
    kept = [
        (piece, score)
        for piece, score in rest
        if not (len(piece) > 1 and piece[0] == MARK and _spaceless(piece[1]))
    ]
    if all(piece != MARK for piece, _ in kept):
        kept.append((MARK, max(score for _, score in kept)))
    # single characters stay whatever their score: they are what any text can be split into
    order = sorted(kept, key=lambda entry: (len(entry[0]) > 1, -entry[1], entry[0]))
    scores = dict(order[: max(1, pieces - 1)])
    for word, score in words.items():
        marked = MARK + word
        if marked in scores or len(scores) < size - 1:
            scores[marked] = max(scores.get(marked, score), score) + WORD_BONUS
    vocabulary = sorted(scores.items(), key=lambda entry: (-entry[1], entry[0]))
    facts["model"]["vocab"] = [special, *vocabulary]
    facts["model"]["unk_id"] = 0
    return Tokenizer.from_str(json.dumps(facts, ensure_ascii=False))


def save(tokenizer: Tokenizer, path: Path) -> None:
    """Write tokenizer.json, without the indentation that doubles its size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = json.loads(tokenizer.to_str())
    path.write_text(json.dumps(facts, ensure_ascii=False, separators=(",", ":")), "utf-8")
