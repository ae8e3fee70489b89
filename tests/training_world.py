"""A small world for the training tests: two made-up languages with one grammar, and tiny bodies.

The second language has its own words and another order, so a translation shares no token with its
source; what a student knows of it, it has learned.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from configs.training import StudentSettings

ADJECTIVES = "red small old quiet heavy clever frozen golden".split()
NOUNS = "dog house river doctor ship garden letter horse city song".split()
VERBS = "sees builds loses paints follows buys hears breaks".split()
WORDS = [*ADJECTIVES, *NOUNS, *VERBS]
OTHER = {
    word: f"{'bcdfghklmn'[i % 10]}{'aeiou'[i % 5]}{'rstvz'[i // 6]}{i:02}"
    for i, word in enumerate(WORDS)
}
TOPICS = [
    "cat dog horse cow sheep goat".split(),
    "car truck bus train tram bicycle".split(),
    "bread cheese soup cake butter rice".split(),
    "rain snow wind storm frost cloud".split(),
    "piano guitar violin drum flute trumpet".split(),
]
FILLERS = "the and with near".split()
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def sentences(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """`count` different (sentence, translation) pairs."""
    random = np.random.default_rng(seed)
    found: dict[str, str] = {}
    while len(found) < count:
        a, b = random.choice(ADJECTIVES, 2)
        m, n = random.choice(NOUNS, 2, replace=False)
        v = random.choice(VERBS)
        found[f"{a} {m} {v} {b} {n}"] = " ".join(OTHER[w] for w in (n, b, m, a, v))
    return list(found.items())


def write_pairs(path: Path, pairs: list[tuple[str, str]]) -> Path:
    path.write_text("".join(f"{a}\t{b}\n" for a, b in pairs), "utf-8")
    return path


def tokenizer_file(folder: Path) -> Path:
    """A tokenizer.json of whole words, of both languages."""
    words = dict.fromkeys(
        [*SPECIAL, *WORDS, *OTHER.values(), *(w for topic in TOPICS for w in topic), *FILLERS]
    )
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    path = folder / "tokenizer.json"
    tokenizer.save(str(path))
    return path


def tiny(
    folder: Path, width: int = 64, pooling: str = "mean", dropout: float = 0.1
) -> StudentSettings:
    """Two layers, `width` wide."""
    return StudentSettings(
        layers=2,
        width=width,
        heads=2,
        tokenizer=str(tokenizer_file(folder)),
        pooling="cls" if pooling == "cls" else "mean",
        max_tokens=16,
        dropout=dropout,
    )


def topic_texts(count: int, seed: int = 0) -> list[str]:
    """Sentences of three things of one topic, lost among filler words."""
    random = np.random.default_rng(seed)
    found: dict[str, None] = {}
    while len(found) < count:
        words = random.choice(TOPICS[random.integers(len(TOPICS))], 3, replace=False)
        found[_mixed(words, random)] = None
    return list(found)


def write_alike(path: Path, count: int, by: str, seed: int = 7) -> Path:
    """Pairs of sentences with a score: `words`, the share of things that both name; `topic`, 1 where
    two sentences without a common thing are of one topic, else 0."""
    random = np.random.default_rng(seed)
    lines = []
    for number in range(count):
        topic = TOPICS[random.integers(len(TOPICS))]
        six = random.permutation(topic)
        first, second = six[:3], six[3:6]
        if by == "words":
            second = np.concatenate([first[: number % 4], six[3 : 6 - number % 4]])
            score = (number % 4) / 3
        else:
            score = float(number % 2)
            if not score:
                others = [t for t in TOPICS if t is not topic]
                second = random.choice(others[random.integers(len(others))], 3, replace=False)
        lines.append(f"{_mixed(first, random)}\t{_mixed(second, random)}\t{score}\n")
    path.write_text("".join(lines), "utf-8")
    return path


def _mixed(words: NDArray[np.str_], random: np.random.Generator) -> str:
    filler = FILLERS[random.integers(len(FILLERS))]
    return " ".join([*words, *[filler] * int(random.integers(1, 10))])


def write_judged(path: Path, queries: int, seed: int = 11) -> Path:
    """A DaReCzech file: a query of two things, and 30 documents of three. The grade is the share of the
    document's things that are of the query's topic; none of them is named in the query."""
    random = np.random.default_rng(seed)
    lines = ["ID\tquery\turl\tdoc\ttitle\tlabel\n"]
    for number in range(queries):
        topic = random.permutation(len(TOPICS))
        asked, rest = np.split(random.permutation(TOPICS[topic[0]]), [2])
        others = [word for t in topic[1:] for word in TOPICS[t]]
        for document in range(30):
            of_topic = max(0, document % 6 - 2)  # 0, 0, 0, 1, 2, 3
            words = [*rest[:of_topic], *random.choice(others, 3 - of_topic, replace=False)]
            text = " ".join(random.permutation(words))
            grade = round(of_topic / 3, 2)
            query = f"{' '.join(asked)} {FILLERS[number % 4]}"
            lines.append(f"{number}-{document}\t{query} {number}\tu\t{text}\tt\t{grade}\n")
    path.write_text("".join(lines), "utf-8")
    return path
