"""Languages: detection, distributions over the languages of an index, codes and their names."""

from __future__ import annotations

import pytest

from configs.errors import ConfigError
from indexer.text.languages import NAMES, check, detect, distribution, name, normal

SENTENCES = {
    "cs": "Nemocnice v Praze je otevřena celý den i v noci.",
    "en": "The hospital in Prague is open all day and all night.",
    "de": "Das Krankenhaus in Prag ist Tag und Nacht geöffnet.",
    "fr": "L'hôpital de Prague est ouvert jour et nuit.",
    "es": "El hospital de Praga está abierto día y noche.",
    "ru": "Больница в Праге открыта днём и ночью.",
    "uk": "Лікарня в Празі відкрита вдень і вночі, приходьте щодня.",
    "bn": "প্রাগের হাসপাতাল সারা দিন খোলা থাকে।",
    "hi": "प्राग का अस्पताल दिन और रात खुला रहता है।",
    "ar": "المستشفى في براغ مفتوح طوال اليوم.",
    "zh": "布拉格的医院全天开放。",
    "ja": "プラハの病院は一日中開いています。",
    "ko": "프라하의 병원은 하루 종일 열려 있습니다.",
    "ka": "პრაღის საავადმყოფო მთელი დღე ღიაა.",
    "el": "Το νοσοκομείο στην Πράγα είναι ανοιχτό όλη μέρα.",
    "th": "โรงพยาบาลในปรากเปิดตลอดวัน",
    "vi": "Bệnh viện ở Praha mở cửa suốt ngày đêm.",
    "tr": "Prag'daki hastane gece gündüz açıktır.",
}


def test_sentences_of_many_languages_are_told() -> None:
    assert dict(zip(SENTENCES, detect(list(SENTENCES.values())), strict=True)) == {
        lang: lang for lang in SENTENCES
    }


@pytest.mark.parametrize("text", ["", "   ", "123 456", "!?…", "🎉🎉", "12:30 – 14:00"])
def test_a_text_without_letters_is_of_no_language(text: str) -> None:
    assert detect([text]) == [""]
    assert distribution(text) == {}


def test_a_query_without_letters_may_be_in_every_language_of_the_index() -> None:
    assert distribution("1984", ["cs", "en"]) == {"cs": 0.5, "en": 0.5}


@pytest.mark.parametrize("text", ["nemocnice", "hospital", "Krankenhaus Prag", "病院", "больница"])
def test_a_distribution_sums_to_1(text: str) -> None:
    assert sum(distribution(text).values()) == pytest.approx(1.0, abs=0.05)
    assert sum(distribution(text, ["cs", "en"]).values()) == pytest.approx(1.0, abs=0.05)


def test_a_short_query_is_first_sought_among_the_languages_of_the_index() -> None:
    among = distribution("praha nemocnice", ["cs", "en"])
    assert max(among, key=lambda code: among[code]) == "cs"
    anywhere = distribution("praha nemocnice")
    assert among["cs"] > anywhere.get("cs", 0.0)


def test_a_script_of_one_language_needs_no_index_to_hold_it() -> None:
    assert distribution("საავადმყოფო", ["cs", "en"]) == {"ka": 1.0}


def test_a_foreign_word_in_a_text_does_not_make_the_language() -> None:
    text = "Slovo 病院 znamená japonsky nemocnice, a čte se bjóin."
    assert detect([text]) == ["cs"]


@pytest.mark.parametrize(
    ("tag", "code"),
    [("pt-BR", "pt"), ("zh_Hans_CN", "zh"), ("EN", "en"), (" cs ", "cs"), ("nb", "no"), ("iw", "he"), ("", "")],
)  # fmt: skip
def test_tags_as_found_in_data_become_codes(tag: str, code: str) -> None:
    assert normal(tag) == code


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("Czech", "did you mean cs?"),
        ("cz", "did you mean cs?"),
        ("EN", "did you mean en?"),
        ("pt-BR", "did you mean pt?"),
        ("xx", "use ISO 639-1 codes such as en, cs, bn"),
        ("", "use ISO 639-1 codes"),
    ],
)
def test_an_unknown_code_is_told_with_the_right_one(code: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(["en", code])
    assert hint in str(caught.value)
    assert repr(code) in str(caught.value)


def test_known_codes_pass_and_have_names() -> None:
    check(NAMES)
    assert (name("bn"), name("cs"), name("xx")) == ("Bengali", "Czech", "xx")
    assert all(len(code) == 2 for code in NAMES)
