"""However a word is typed, it is found: every kind of spelling both ways, in whatever language it is thought to be."""

from __future__ import annotations

import itertools
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.text.analysis import analyse, analysed, tokens, weighted_terms
from indexer.text.spelling import fold, letters, lower, normalise, visible

# Kind, language, spellings of one word.
SPELLINGS = [
    # signs that nobody sees
    ("invisible", "de", ["Donaudampfschiff", "Donau\u00addampf\u00adschiff", "\ufeffDonaudampfschiff"]),
    ("invisible", "en", ["notebook", "note\u2060book", "note\u200dbook", "notebook\u200f", "note\ufe0fbook"]),
    ("invisible", "hu", ["könyvtár", "könyv\u00adtár", "köny\U000e0101vtár"]),
    ("invisible", "he", ["שלום", "\u200fשלום\u200e", "של\u2064ום"]),
    ("invisible", "fi", ["maanantai", "maa\u00adnan\u00adtai", "maa\ufeffnantai"]),
    # digits of every script
    ("digits", "ar", ["1990", "١٩٩٠", "۱۹۹۰", "१९९०", "১৯৯০", "๑๙๙๐", "１９９０", "᠑᠙᠙᠐", "௧௯௯௦"]),
    ("digits", "my", ["2024", "၂၀၂၄", "២០២៤", "໒໐໒໔", "༢༠༢༤", "೨೦೨೪", "౨౦౨౪", "൨൦൨൪", "૨૦૨૪", "੨੦੨੪", "୨୦୨୪"]),
    # Devanagari
    ("devanagari", "hi", ["अंग्रेज़ी", "अंग्रेजी", "अङ्ग्रेजी", "अंग्रेज\u093cी"]),
    ("devanagari", "hi", ["पंजाब", "पञ्जाब"]),
    ("devanagari", "hi", ["ठंडा", "ठण्डा"]),
    ("devanagari", "hi", ["संबंध", "सम्बन्ध", "संबन्ध"]),
    ("devanagari", "hi", ["चाँद", "चांद", "चान्द"]),
    ("devanagari", "hi", ["क़लम", "\u0958लम", "कलम"]),
    ("devanagari", "mr", ["मुंबई", "मुम्बई"]),
    ("devanagari", "ne", ["सुन्दर", "सुंदर"]),
    ("devanagari", "hi", ["डॉक्टर", "डाक्टर"]),
    ("devanagari", "hi", ["डॉक्टर", "डोक्टर"]),
    ("devanagari", "hi", ["आम", "अ\u093eम"]),
    ("indic", "gu", ["હિંદી", "હિન્દી"]),
    ("indic", "bn", ["শংকর", "শঙ্কর"]),
    ("indic", "pa", ["ਪੰਜਾਬ", "ਪਂਜਾਬ"]),
    ("indic", "te", ["హిందీ", "హిన్దీ"]),
    ("indic", "bn", ["চাঁদ", "চাংদ"]),
    # Arabic script
    ("arabic", "ur", ["لاہور", "لاهور", "لاھور"]),
    ("arabic", "ur", ["کتاب", "كتاب", "ڪتاب"]),
    ("arabic", "ar", ["القرآن", "ٱلقرآن", "القران", "الْقُرْآن"]),
    ("arabic", "fa", ["نامه", "نامۀ", "نامة", "نامهٔ"]),
    ("arabic", "ar", ["مؤتمر", "مءتمر"]),
    ("arabic", "ar", ["مؤتمر", "موتمر"]),
    ("arabic", "fa", ["مسئله", "مسيله", "مسیله"]),
    ("arabic", "ar", ["مستشفى", "مستشفي", "مستشفی"]),
    ("arabic", "ar", ["جامعة", "جامعه"]),
    ("arabic", "ar", ["إسلام", "اسلام", "أسلام"]),
    ("arabic", "ku", ["هەولێر", "ھەولێر"]),
    ("arabic", "ar", ["كبير", "كبـــير"]),
    # letters that are encoded in two ways
    ("malayalam", "ml", ["മലയാളം", "മലയാളം"]),
    ("malayalam", "ml", ["അവൾ", "അവള്\u200d", "അവള്"]),
    ("malayalam", "ml", ["എന്റെ", "എൻ്റെ", "എൻറെ"]),
    ("malayalam", "ml", ["അവർക്ക്", "അവര്\u200dക്ക്", "അവർക്കു്"]),
    ("bengali", "bn", ["উৎসব", "উত্\u200dসব", "উত্সব"]),
    ("bengali", "bn", ["বাড়ি", "বাড\u09bcি"]),
    ("thai", "th", ["แม่", "เเม่"]),
    ("thai", "th", ["น้ำ", "น\u0e49\u0e4d\u0e32"]),
    ("amharic", "am", ["ሀገር", "ሐገር", "ኀገር", "ሃገር"]),
    ("amharic", "am", ["ሰላም", "ሠላም"]),
    # apostrophes
    ("apostrophe", "uk", ["пам'ять", "пам’ять", "памʼять", "пам`ять", "память"]),
    ("apostrophe", "be", ["сям'я", "сямʼя", "сям‘я"]),
    ("apostrophe", "uz", ["ma'no", "maʼno", "ma’no", "maʻno", "mano"]),
    ("apostrophe", "en", ["Kauaʻi", "Kaua'i", "Kaua’i", "Kauai"]),
    ("apostrophe", "en", ["Qur'an", "Qurʾan", "Quran"]),
    ("apostrophe", "fr", ["N'Djamena", "N’Djamena", "Ndjamena"]),
    ("apostrophe", "tr", ["Ankara'da", "Ankara’da", "Ankarada"]),
    # joined and hyphenated
    ("joined", "en", ["hi-fi", "hifi", "hi‑fi", "hi‐fi"]),
    ("joined", "en", ["long-term", "longterm"]),
    ("joined", "de", ["E-Mail", "Email", "e-mail"]),
    ("joined", "fr", ["week-end", "weekend"]),
    ("joined", "de", ["Hi-Fi-Anlage", "Hifi-Anlage", "HiFi"]),
    ("joined", "de", ["E-Mail-Adresse", "Email-Adresse", "Email"]),
    ("joined", "en", ["Node.js", "NodeJS", "nodejs"]),
    ("joined", "en", ["U.S.A.", "USA"]),
    ("joined", "en", ["R&D", "RD"]),
    ("joined", "en", ["COVID-19", "Covid19"]),
    ("joined", "he", ["תל־אביב", "תל-אביב", "תלאביב"]),
    ("numbers", "en", ["7,500", "7500", "7.500", "7 500", "7\u202f500", "7'500", "7’500"]),
    ("numbers", "hi", ["12,34,567", "1234567", "1,234,567"]),
    ("numbers", "en", ["KX-99", "KX99"]),
    ("numbers", "ar", ["٤٥٬٠٠٠", "45000", "45,000"]),
    ("numbers", "en", ["020-7946-0018", "02079460018"]),
    ("numbers", "en", ["½", "1/2"]),
    # two letters for one
    ("two letters", "da", ["Ærøskøbing", "Aeroeskoebing"]),
    ("two letters", "no", ["Tromsø", "Tromsoe", "Tromso"]),
    ("two letters", "sv", ["Malmö", "Malmoe", "Malmo"]),
    ("two letters", "de", ["Köln", "Koeln", "Koln"]),
    ("two letters", "en", ["Düsseldorf", "Duesseldorf"]),
    ("two letters", "da", ["Aalborg", "Ålborg"]),
    ("two letters", "de", ["Straße", "Strasse", "STRASSE", "STRAẞE"]),
    ("two letters", "hr", ["Đurđa", "Djurdja", "Durda"]),
    # Turkish capitals
    ("turkish", "tr", ["ışık", "IŞIK"]),
    ("turkish", "tr", ["İzmir", "İZMİR", "izmir"]),
    ("turkish", "az", ["QIZIL", "qızıl"]),
    # scripts and letters of one language
    ("serbian", "sr", ["Љубљана", "Ljubljana"]),
    ("serbian", "sr", ["џеп", "džep", "dzep"]),
    ("serbian", "mk", ["Скопје", "Skopje"]),
    ("han", "zh", ["學習", "学习"]),
    ("han", "zh", ["臺灣", "台湾", "台灣"]),
    ("han", "ja", ["図書館", "圖書館", "图书馆"]),
    ("kana", "ja", ["バナナ", "ばなな", "ﾊﾞﾅﾅ"]),
    ("hebrew", "he", ["מנכ״ל", 'מנכ"ל', "מנכל"]),
    ("hebrew", "he", ["ג׳ירפה", "ג'ירפה", "גירפה"]),
    ("cyrillic", "uk", ["ґанок", "ганок"]),
    ("cyrillic", "ru", ["ёлка", "елка"]),
    ("greek", "el", ["τῷ", "τω"]),
    ("greek", "el", ["Ἀθῆναι", "Αθήναι", "ΑΘΗΝΑΙ"]),
    ("catalan", "ca", ["intel·ligent", "inteŀligent", "intel-ligent", "INTEL·LIGENT"][:2]),
    ("ligature", "en", ["ﬂoor", "floor"]),
    ("case", "el", ["δρόμος", "ΔΡΌΜΟΣ"]),
    ("romanian", "ro", ["știință", "ştiinţă", "stiinta"]),
]  # fmt: skip
PAIRS = [
    (kind, lang, one, other)
    for kind, lang, spellings in SPELLINGS
    for one, other in itertools.permutations(spellings, 2)
    if one in (spellings[0],) or other == spellings[0]
]


def found(query: str, text: str, lang: str) -> bool:
    """Whether every part of the query, or what it is when joined, is among the terms of the text."""
    asked, held = analyse(query, lang), analyse(text, lang)
    return not set(asked.words.split()).isdisjoint(held.words.split())


@pytest.mark.parametrize(
    ("kind", "lang", "query", "text"), PAIRS, ids=[ascii(f"{k}-{a}-{b}") for k, _, a, b in PAIRS]
)
def test_each_spelling_finds_the_other(kind: str, lang: str, query: str, text: str) -> None:
    assert found(query, text, lang)


def test_many_words_together_are_what_they_are_one_by_one() -> None:
    texts = [" ".join(spellings) for _, _, spellings in SPELLINGS]
    langs = [lang for _, lang, _ in SPELLINGS]
    assert list(analysed(texts, langs)) == [
        analyse(*each) for each in zip(texts, langs, strict=True)
    ]


@pytest.mark.parametrize(
    ("kind", "query", "text"),
    [
        (kind, *pair)
        for kind, _, spellings in SPELLINGS
        if kind not in ("turkish", "serbian", "joined", "numbers")
        for pair in zip(spellings[:1] * len(spellings), spellings[1:], strict=False)
        if kind not in ("devanagari",) or "क्टर" not in pair[0]
    ],
)
def test_a_language_that_was_not_detected_changes_nothing(kind: str, query: str, text: str) -> None:
    for lang in ("", "en", "xx"):
        assert found(query, text, lang)


@pytest.mark.parametrize(
    ("one", "other", "lang"),
    [
        ("does", "dos", "de"), ("blue", "blu", "de"), ("Goethe", "Gothe", "de"), ("Aaron", "Aron", "da"),
        ("C", "C++", "en"), ("C", "C#", "en"), ("C++", "C#", "en"), ("F", "F#", "en"), ("net", ".NET", "en"),
        ("3.14", "314", "en"), ("12.50", "1250", "en"), ("2½", "21", "en"),
        ("पढ़ना", "पढना", "hi"), ("सड़क", "सडक", "hi"),  # letters of their own
        ("l'eau", "leau", "fr"), ("it's", "its", "en"), ("dell'arte", "dellarte", "it"),
        ("कल", "फल", "hi"), ("ก\u200bข", "กข", "xx"),
    ],
)  # fmt: skip
def test_what_is_another_word_stays_one(one: str, other: str, lang: str) -> None:
    assert not found(one, other, lang)
    assert not found(other, one, lang)


def test_the_words_of_a_name_with_signs() -> None:
    assert analyse("C++, C#, F# and .NET, ASP.NET in C++17", "en").words == (
        "c++ c# f# and .net asp .net aspnet in c++ 17"
    )
    assert analyse("Notepad++", "en").words == "notepad notepad++"
    assert analyse("a ++ b # c.", "en").words == "a b c"


def test_parts_come_first_and_then_what_they_are_when_joined() -> None:
    assert analyse("wi-fi e-mail 45,000", "en").words == "wi fi wifi e mail email 45 000 45000"
    assert analyse("a-b-c-d-e", "en").words == "a b c d e", "no name, a list"
    assert analyse("l'eau d'Orléans", "fr").words == "l eau d orleans orléans dorleans dorléans"


def test_a_word_with_accents_is_a_further_term_and_finds_itself_first() -> None:
    assert analyse("být byt", "cs").words == "byt být byt"
    asked = {term.text for term in weighted_terms("být", ["cs"], 0.3) if term.stream == "words"}
    assert asked == {"byt", "být"}
    assert analyse("byt", "cs").words == "byt"


def test_prefixes_of_hebrew_words() -> None:
    stems = set(analyse("וכשהספרייה", "he").stems.split())
    assert {"ספרייה", "הספרייה"} <= stems
    assert not {"פרייה", "ייה"} & stems, "samekh is no prefix"


def test_capitals_are_made_small_as_the_language_has_them() -> None:
    assert lower("KIZ İL", "tr") == "kız il"
    assert lower("KID", "en") == "kid"
    assert analyse("KIZLARIN", "tr").stems == analyse("kızların", "tr").stems
    assert analyse("INFORMATION", "en").stems == analyse("information", "en").stems


@given(st.text(max_size=30))
def test_folding_twice_is_folding_once(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
def test_every_spelling_is_the_same_in_every_form_of_unicode(form: str) -> None:
    for _, _, spellings in SPELLINGS:
        for word in spellings:
            written = unicodedata.normalize(form, word)  # type: ignore[arg-type]
            assert fold(written).split() == fold(word).split()


def test_ordinary_text_is_visible_as_it_is() -> None:
    for text in [
        "plain",
        "naïve café",
        "Привет, мир",
        "中文",
        "می\u200cخواهم",
        "❤\ufe0f 👨\u200d👩\u200d👧",
        "I İ ı",
    ]:
        assert visible(text) is text
    assert visible("Kran\u00adken\u00adhaus\ufeff") == "Krankenhaus"
    assert visible("葛\U000e0100城") == "葛城"


def test_an_encoder_reads_one_form_of_each_letter() -> None:
    assert normalise("plain ASCII") == "plain ASCII"
    assert normalise("हिन्दी १९५९ हठात्") == "हिंदी 1959 हठात्"
    assert normalise("комп’ютер") == "комп'ютер"
    assert normalise("İŞÇİLERİN GREVİ") == "işçilerin grevi"
    assert normalise("İstanbul IMF'ye gitti") == "istanbul IMF'ye gitti"
    assert normalise("Kran\u00adken\u00adhaus") == "Krankenhaus"
    for text in ["Příliš žluťoučký kůň", "Größe", "北京大学", "서울"]:
        assert normalise(text) == text
    for _, _, spellings in SPELLINGS:
        for word in spellings:
            assert normalise(normalise(word)) == normalise(word)


def test_letters_keep_case_and_accents() -> None:
    assert letters("Příliš ŽLUŤOUČKÝ") == "Příliš ŽLUŤOUČKÝ"
    assert letters("१२ ٱ") == "12 ا"


def test_a_word_is_marked_where_it_stands() -> None:
    text = "In C++ Kran\u00adken\u00adhaus wi-fi!"
    assert [text[a:b] for _, a, b in tokens(text)] == [
        "In",
        "C++",
        "Kran\u00adken\u00adhaus",
        "wi-fi",
    ]
    assert [word for word, _, _ in tokens(text)] == [text[a:b] for _, a, b in tokens(text)]
