"""Splitting: passages cover the text, keep to the size, overlap by whole sentences."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.text.passages import sentences, split

PROSE = st.text(alphabet=st.sampled_from("ab .!?\n।。»'é"), max_size=600)


def test_a_text_that_fits_is_one_passage() -> None:
    assert split("One. Two.", 100, 20) == [(0, 9)]
    assert split("", 100, 20) == [(0, 0)]


def test_passages_end_where_sentences_end() -> None:
    text = "The first one. The second one. The third one."
    spans = split(text, 31, 0)
    assert [text[a:b] for a, b in spans] == ["The first one. The second one. ", "The third one."]


def test_a_passage_repeats_whole_sentences_of_the_one_before() -> None:
    text = "First one. Then two. Then six. Then ten. "
    spans = split(text, 31, 11)
    # 31 characters hold three sentences; the last of them (10 characters) is repeated
    assert [text[a:b] for a, b in spans] == [
        "First one. Then two. Then six. ",
        "Then six. Then ten. ",
    ]


def test_no_sentence_of_the_overlap_is_longer_than_the_overlap() -> None:
    text = "A sentence of some length. " * 20
    for before, after in itertools.pairwise(split(text, 100, 10)):
        assert before[1] == after[0]


def test_a_long_sentence_is_cut_at_a_space() -> None:
    text = "word " * 50
    spans = split(text, 52, 0)
    assert all(text[a:b].startswith("word") for a, b in spans)
    assert all(b - a <= 52 for a, b in spans)


def test_chinese_and_japanese_are_cut_at_their_full_stops() -> None:
    text = "今日は晴れです。明日は雨です。「傘を持つ。」と言った。"
    spans = split(text, 16, 0)
    assert [text[a:b] for a, b in spans] == [
        "今日は晴れです。明日は雨です。",
        "「傘を持つ。」と言った。",
    ]


def test_a_passage_that_would_only_repeat_is_none() -> None:
    assert split("。。????????????????", 16, 1) == [(0, 2), (2, 18)]


def test_text_without_spaces_is_cut_all_the_same() -> None:
    assert split("山" * 25, 10, 0) == [(0, 10), (10, 20), (20, 25)]


@pytest.mark.parametrize(
    "text",
    [
        "Ahoj světe. Jak se máš?",
        "こんにちは。元気ですか。",
        "আমি ভালো আছি। তুমি কেমন আছ?",
        "مرحبا بك. كيف حالك؟ بخير",
        "„Ano.“ Řekl. Šel.",
        "First paragraph\n\nSecond paragraph",
    ],
)
def test_sentences_of_many_scripts_are_told_apart(text: str) -> None:
    assert len(sentences(text)) >= 2


def test_a_decimal_point_and_a_dotted_name_end_no_sentence() -> None:
    assert len(sentences("It weighs 3.5 kg at example.org today")) == 1


@given(PROSE, st.integers(16, 80), st.integers(0, 200))
def test_passages_cover_the_text_and_keep_to_the_size(text: str, size: int, overlap: int) -> None:
    spans = split(text, size, overlap)
    assert spans[0][0] == 0
    assert spans[-1][1] == len(text)
    for start, end in spans:
        assert end - start <= size
    for (start, end), (following, last) in itertools.pairwise(spans):
        assert start < following <= end < last  # no gap, and each goes on
        assert end - following <= min(overlap, size // 2)


@given(PROSE)
def test_sentences_cover_the_text(text: str) -> None:
    joined = "".join(text[a:b] for a, b in sentences(text))
    assert joined == text


def words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def characters(texts: Sequence[str]) -> list[int]:
    """As a tokenizer that knows none of the text: each character a token."""
    return [len(text) for text in texts]


@given(PROSE, st.integers(16, 60))
def test_passages_fit_the_encoder(text: str, limit: int) -> None:
    for count in (words, characters):
        spans = split(text, 1000, 100, limit, count)
        assert spans[0][0] == 0
        assert spans[-1][1] == len(text)
        assert all(n <= limit for n in count([text[a:b] for a, b in spans]))


def test_a_dense_part_of_a_text_is_halved_until_it_fits() -> None:
    text = "plain words here. " * 40 + "x" * 300
    spans = split(text, 1000, 0, 50, characters)
    assert max(b - a for a, b in spans) <= 50


def test_a_long_text_takes_little_time() -> None:
    text = "No end of it. " * 100_000  # 1.4 million characters
    assert len(split(text, 1000, 150)) > 1000
