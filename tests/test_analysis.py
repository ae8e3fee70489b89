"""What words become in many scripts: folded, stemmed, cut into bigrams."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.text.analysis import STEMMERS, analyse, fold, query_terms, tokens, weighted_terms


@pytest.mark.parametrize(
    ("word", "folded"),
    [
        ("Počítače", "pocitace"),
        ("ŁÓDŹ", "lodz"),
        ("Straße", "strasse"),
        ("Ærø", "aero"),
        ("ISTANBUL", "istanbul"),
        ("İstanbul", "istanbul"),
        ("Ёлка", "елка"),
        ("ﬁsh", "fish"),
        ("ＡＢＣ１２", "abc12"),
        ("שָׁלוֹם", "שלום"),
        ("مُحَمَّد", "محمد"),
        ("كتابي", "کتابی"),
        ("हिन्दी", "हिंदी"),
        ("বাংলা", "বাংলা"),
        ("Ελλάδα", "ελλαδα"),
        ("ÅNGSTRÖM", "angstrom"),
    ],
)
def test_case_accents_and_forms_are_folded(word: str, folded: str) -> None:
    assert fold(word) == unicodedata.normalize("NFC", folded)


def test_composed_and_decomposed_text_are_the_same_words() -> None:
    text = "Příliš žluťoučký kůň, Việt Nam, が, 한국어, বাংলা"
    for lang in ("cs", "vi", "ja", "ko", "bn"):
        composed = analyse(unicodedata.normalize("NFC", text), lang)
        assert analyse(unicodedata.normalize("NFD", text), lang) == composed


@pytest.mark.parametrize(
    ("lang", "one", "other"),
    [
        ("en", "hospitals", "hospital"),
        ("cs", "nemocnice", "nemocnici"),
        ("de", "Häuser", "Hauses"),
        ("fr", "chevaux", "cheval"),
        ("es", "libros", "libro"),
        ("ru", "больницы", "больница"),
        ("fi", "taloissa", "talo"),
        ("tr", "evlerde", "evler"),
        ("ar", "الكتاب", "كتاب"),
        ("hi", "लड़कियाँ", "लड़कियों"),
    ],
)
def test_forms_of_a_word_share_a_stem_in_its_language(lang: str, one: str, other: str) -> None:
    assert analyse(one, lang).stems == analyse(other, lang).stems
    assert analyse(one, lang).words != analyse(other, lang).words


def test_a_word_is_kept_as_written_beside_its_stem() -> None:
    found = analyse("Running hospitals", "en")
    assert found.words == "running hospitals"
    assert found.stems == "run hospit"


def test_indic_words_keep_their_vowel_signs_and_are_not_cut() -> None:
    assert analyse("হাসপাতাল খোলা", "bn").words == "হাসপাতাল খোলা"
    assert [word for word, _, _ in tokens("नमस्ते दुनिया")] == ["नमस्ते", "दुनिया"]


def test_scripts_without_spaces_become_bigrams_and_characters() -> None:
    found = analyse("北京大学", "zh")
    assert found.words == "北京 京大 大学"
    assert found.stems == "北 京 大 学"


def test_a_single_character_is_a_word() -> None:
    assert analyse("水", "zh").words == "水"


def test_latin_inside_chinese_is_a_word_of_its_own() -> None:
    assert analyse("使用Python编程", "zh").words == "使用 python 编程"


def test_the_japanese_repetition_mark_belongs_to_its_word() -> None:
    assert analyse("人々", "ja").words == "人々"


def test_korean_words_are_kept_and_cut_for_their_particles() -> None:
    with_particle, bare = analyse("병원에서", "ko"), analyse("병원", "ko")
    assert with_particle.words == "병원에서"
    assert set(bare.stems.split()) <= set(with_particle.stems.split())


def test_zero_width_joiners_do_not_make_another_word() -> None:
    assert analyse("می\u200cخواهم", "fa").words == analyse("میخواهم", "fa").words


def test_punctuation_emoji_and_spaces_are_no_words() -> None:
    assert analyse("  ¡¿… — 🎉 ,.! __ ", "en") == analyse("", "en")
    assert analyse("snake_case", "en").words == "snake case"


def test_a_language_without_a_stemmer_keeps_its_words() -> None:
    found = analyse("Nemocnice საავადმყოფო", "ka")
    assert found.words == found.stems == "nemocnice საავადმყოფო"


def test_every_stemmer_named_is_there() -> None:
    import Stemmer

    assert set(STEMMERS.values()) <= set(Stemmer.algorithms())


def test_a_query_is_looked_for_as_every_likely_language_has_it() -> None:
    words, stems = query_terms("hospitals hospitals", ["en", "de"])
    assert words == ["hospitals"]
    assert set(stems) == {"hospit", "hospital"}


def test_terms_weigh_by_how_often_the_query_has_them_and_stems_more_than_words() -> None:
    found = weighted_terms("hospitals hospitals 東京", ["en"], 0.3)
    assert found == [
        ("words", "hospitals", 0.6),
        ("stems", "hospit", 2.0),
        ("words", "东京", 1.0),  # a bigram is the stronger of the two there
        ("stems", "东", 0.3),
        ("stems", "京", 0.3),
    ]


def test_a_query_without_languages_has_its_words() -> None:
    assert query_terms("Nemocnice", []) == (["nemocnice"], ["nemocnice"])


def test_tokens_say_where_words_stand() -> None:
    text = "Dům, 水!"
    assert [text[start:end] for _, start, end in tokens(text)] == ["Dům", "水"]


@given(st.text(max_size=60), st.sampled_from(["", "cs", "zh", "ko", "bn", "ar", "en"]))
def test_any_text_is_analysed_and_terms_hold_no_space(text: str, lang: str) -> None:
    found = analyse(text, lang)
    for stream in (found.words, found.stems):
        assert stream == " ".join(stream.split())
    assert analyse(text, lang) == found  # remembered words give the same
