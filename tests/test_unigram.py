"""Words by the thousand are cut into the very pieces that the tokenizers library cuts them into."""

from __future__ import annotations

import gzip
import itertools
import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

import indexer.encoders.static_encoder
import indexer.encoders.unigram_tokenizer
from indexer.encoders.local_models import FAST
from indexer.encoders.static_encoder import StaticEncoder
from indexer.encoders.unigram_tokenizer import Unigram

VOCABULARY = [
    ("[UNK]", 0.0), ("\u2581", -2.0), ("\u2581a", -1.0), ("a", -3.0), ("b", -3.5), ("ab", -4.0),
    ("\u2581ab", -6.0), ("ba", -4.0), ("\u03c3", -5.0), ("\u03c2", -5.0), (".", -3.0), ("\u2581.", -2.5),
]  # fmt: skip

shipped = pytest.mark.skipif(not FAST.is_dir(), reason="no student in this checkout")


def made(pieces: list[tuple[str, float]] = VOCABULARY) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram(pieces, 0, False))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("isolated"),
        pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="always", split=True),
    ])  # fmt: skip
    tokenizer.add_special_tokens(["[UNK]"])
    return tokenizer


def of(tokenizer: Tokenizer) -> Unigram:
    model = Unigram.of(json.loads(tokenizer.to_str()))
    assert model is not None
    return model


def words(model: Unigram, text: str) -> list[str] | None:
    """What is looked up for a text; None where only the library can read it."""
    found, left = model.cut([text])
    if left:
        return None
    spans = zip(found.starts.tolist(), found.lengths.tolist(), strict=True)
    return [found.joined[start : start + length] for start, length in spans]


def ids(model: Unigram, text: str) -> list[int] | None:
    """The tokens of a text; None where the library has to be asked."""
    found = words(model, text)
    tokens = None if found is None else model.ids(found)
    if tokens is None or None in tokens:
        return None
    joined = b"".join(t for t in tokens if t is not None)
    return [int(token) for token in np.frombuffer(joined, np.int32)]


@pytest.mark.parametrize(
    ("piece", "expected"),
    [
        ("A", [2]),
        ("aB", [2, 4]),  # -1 - 3.5; "▁ab" is -6, "▁" and "ab" too
        ("aab", [2, 5]),  # -1 - 4; "▁a", "a", "b" is -7.5
        ("ba.", [1, 7, 11]),  # a full stop is a word of its own
        ("axyb", [2, 0, 4]),  # letters that are not known are one token together
        ("x", [1, 0]),
        ("ΑΣ", [1, 0, 8]),  # the library lowers a final sigma as any other
        ("\uff21", [2]),  # full width
    ],
)
def test_a_word_is_cut_where_the_sum_of_scores_is_best(piece: str, expected: list[int]) -> None:
    tokenizer = made()
    assert tokenizer.encode(piece, add_special_tokens=False).ids == expected
    assert ids(of(tokenizer), piece) == expected


def test_two_ways_that_are_as_good_are_left_to_the_library() -> None:
    # "aba" after "▁": "ab", "a" or "a", "ba", -7 both
    model = of(made([p for p in VOCABULARY if p[0] not in ("\u2581a", "\u2581ab")]))
    assert ids(model, "aba") is None
    assert ids(model, "ab") is not None


@pytest.mark.parametrize("piece", ["a[UNK]b", "\u2581a", "a\ud800", "\U00010d50", "a\x1cb"])
def test_what_may_not_be_the_same_is_left_to_the_library(piece: str) -> None:
    model = of(made())
    assert words(model, f"ab {piece}") is None
    assert words(model, "A a.b") == ["a", "a", ".", "b"]
    assert model.cut(["a", piece, "b"])[0].borders.tolist() == [0, 1, 1, 2]


def test_other_tokenizers_are_not_known_here(monkeypatch: pytest.MonkeyPatch) -> None:
    other = made()
    other.normalizer = normalizers.Lowercase()
    assert Unigram.of(json.loads(other.to_str())) is None
    words = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    assert Unigram.of(json.loads(words.to_str())) is None
    monkeypatch.setattr(indexer.encoders.unigram_tokenizer, "_STEP", np.uint64(0))
    assert Unigram.of(json.loads(made().to_str())) is None  # "ab" and "b" have one hash


def same(encoder: StaticEncoder, texts: list[str]) -> int:
    """How many of the texts are read without the library; what it would have read is no other."""
    model = encoder._model()
    assert model is not None
    mine = [(text, ids(model, text)) for text in texts]
    found = {text: tokens for text, tokens in mine if tokens is not None}
    library = encoder._tokenizer.encode_batch_fast(list(found), add_special_tokens=False)
    wrong = [
        text
        for (text, tokens), encoding in zip(found.items(), library, strict=True)
        if tokens != encoding.ids
    ]
    assert wrong == []
    return len(found)


@shipped
def test_every_letter_is_folded_and_split_as_the_library_does() -> None:
    encoder = StaticEncoder.load(FAST)
    letters = [
        chr(point)
        for point in range(0x20, 0x20000)
        if unicodedata.category(chr(point)) not in ("Cn", "Cs", "Co") and not chr(point).isspace()
    ]
    pieces = [
        f"a{''.join(few)}b" for few in itertools.zip_longest(*[iter(letters)] * 8, fillvalue="")
    ]
    assert same(encoder, pieces) > 0.4 * len(pieces)


@shipped
def test_real_text_in_many_languages_is_cut_the_same(shared_data: Path) -> None:
    encoder = StaticEncoder.load(FAST)
    files = sorted((shared_data / "ntrex128").glob("*.tsv.gz"))
    assert len(files) >= 30
    texts: list[str] = []
    for file in files:
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            texts += itertools.islice(lines, 80)
    assert same(encoder, texts) > 0.99 * len(texts)


@shipped
def test_a_few_words_are_cut_as_many_are(monkeypatch: pytest.MonkeyPatch) -> None:
    text = Path(__file__).read_text("utf-8") + "Příliš žluťoučký kůň 病院はどこ ни рыба ☃𐿰 aa☃b"
    encoder = StaticEncoder.load(FAST)
    model = encoder._model()
    assert model is not None
    few = sorted({word for piece in text.split() for word in words(model, piece) or ()})
    assert len(few) > 200
    together = model.ids(few)
    assert [model.ids([word])[0] for word in few] == together
    assert Unigram.opened(model.arrays()).ids(few) == together


@shipped
def test_vectors_are_those_of_the_library_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [
        f"Slovo{n} hospital-{n}, {n} école “{n}” 病院{n} {'[UNK]' * (n % 9 == 0)}"
        for n in range(500)
    ]
    encoder = StaticEncoder.load(FAST, whole=False)
    monkeypatch.setattr(indexer.encoders.static_encoder, "LETTERS", 100)
    together = encoder.encode(texts)
    assert encoder._table is not None and len(encoder.encode_most(texts)[1]) >= 56
    monkeypatch.setattr(indexer.encoders.static_encoder, "LETTERS", 10**9)
    few = StaticEncoder.load(FAST, whole=False).encode(texts)
    monkeypatch.setattr(StaticEncoder, "_found_together", lambda self, pieces: {})
    alone = StaticEncoder.load(FAST).encode(texts)
    assert (together == alone).all() and (few == alone).all()
