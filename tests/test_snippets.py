"""Snippets: the words that matched are marked, and the window holds them."""

from __future__ import annotations

from indexer.schema import Document, Hit, Passage
from retriever.snippets import Mark, marks, snippet


def hit(text: str, lang: str = "en", start: int = 0) -> Hit:
    passage = Passage("d", 0, text, start, start + len(text))
    return Hit(Document("d", text, "", "", lang), passage, 1.0, 1, {})


def marked(text: str, query: str, lang: str) -> list[str]:
    return [text[start:end] for start, end in marks(text, query, lang)]


def test_words_are_marked_as_the_search_by_words_would_match_them() -> None:
    assert marked("The hospitals of Prague", "hospital prague", "en") == ["hospitals", "Prague"]
    assert marked("V nemocnici byl klid", "nemocnice", "cs") == ["nemocnici"]
    assert marked("Nové počítače", "pocitace", "cs") == ["počítače"]


def test_a_part_of_a_word_is_not_marked() -> None:
    assert marked("The cathedral has a cat", "cat", "en") == ["cat"]


def test_single_latin_letters_are_not_marked() -> None:
    assert marked("A plan B in a city", "a city", "en") == ["city"]


def test_in_scripts_without_spaces_the_matching_characters_are_marked() -> None:
    assert marked("我在北京大学读书", "北京大学", "zh") == ["北京大学"]
    assert marked("東京の病院は開いています", "病院", "ja") == ["病院"]


def test_words_are_marked_whose_stems_begin_otherwise() -> None:
    assert marked("هذا الكتاب جديد", "كتاب", "ar") == ["الكتاب"]
    assert marked("Dat is gemaakt", "maak", "nl") == ["gemaakt"]
    assert marked("Étudier à l'école", "ecole etudier", "fr") == ["Étudier", "école"]
    assert marked("Ёлка и ель", "елка", "ru") == ["Ёлка"]
    assert marked("an A恤衫 here", "恤衫", "en") == ["恤衫"]


def test_bengali_words_are_marked_whole() -> None:
    assert marked("প্রাগের হাসপাতাল খোলা", "হাসপাতাল", "bn") == ["হাসপাতাল"]


def test_a_short_passage_is_shown_whole() -> None:
    assert snippet(hit("The owl sleeps."), "owl") == [
        ("The ", Mark.NONE),
        ("owl", Mark.EXACT),
        (" sleeps.", Mark.NONE),
    ]


def test_without_a_match_the_beginning_is_shown() -> None:
    segments = snippet(hit("word " * 200), "nothing", 50)
    assert segments[0] == ("word " * 9 + "word", Mark.NONE)
    assert segments[-1] == (" …", Mark.NONE)
    assert not any(is_marked for _, is_marked in segments)


def test_the_window_holds_the_most_different_matches() -> None:
    filler = "lorem ipsum dolor " * 30
    text = f"owl here. {filler} The owl and the mouse met. {filler}"
    shown = "".join(part for part, _ in snippet(hit(text), "owl mouse", 120))
    assert "The owl and the mouse met" in shown
    assert shown.startswith("… ")
    assert shown.endswith(" …")
    assert len(shown) <= 120 + 4


def test_a_passage_from_the_middle_of_a_document_says_so() -> None:
    assert snippet(hit("The owl sleeps.", start=900), "owl")[0] == ("… ", Mark.NONE)


def test_segments_are_text_on_one_line_and_lose_nothing() -> None:
    text = "One <b>owl</b> & two\nowls."
    segments = snippet(hit(text), "owl")
    assert "".join(part for part, _ in segments) == text.replace("\n", " ")


def test_a_document_of_a_title_only_has_no_snippet() -> None:
    assert snippet(hit(""), "owl") == []


def test_the_parts_that_a_query_names_are_marked_and_the_whole_where_it_names_that() -> None:
    assert marked("L'eau et d'Orléans", "eau orleans", "fr") == ["eau", "Orléans"]
    assert marked("Free wi-fi here", "wifi", "en") == ["wi-fi"]
    assert marked("A pre-school class", "school", "en") == ["school"]
    assert marked("Seats 45,000 of them", "45000", "en") == ["45,000"]
    assert marked("Learn C++ or C#", "c++", "en") == ["C++"]
    assert marked("Kran\u00adken\u00adhaus", "krankenhaus", "de") == ["Kran\u00adken\u00adhaus"]
    assert marked("Новий компʼютер", "комп'ютер", "uk") == ["компʼютер"]
    assert marked("København, Århus", "Koebenhavn Aarhus", "da") == ["København", "Århus"]
    assert marked("市圖書館", "图书馆", "zh") == ["圖書館"]
    assert marked("Vidím psa a koně", "pes kůň", "cs") == ["psa", "koně"]


def test_wide_characters_count_twice() -> None:
    latin = "".join(part for part, _ in snippet(hit("word " * 200), "nothing", 100))
    japanese = "".join(
        part for part, _ in snippet(hit("病院は一日中開いている" * 50), "nothing", 100)
    )
    assert len(latin) in range(95, 106) and len(japanese) in range(45, 56)
