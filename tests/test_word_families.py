"""Forms of one word find each other: more than four hundred families in 50 languages, by stems and dictionary forms."""

from __future__ import annotations

import collections
import itertools
from pathlib import Path

import pytest

from indexer.text.analysis import STEMMERS, analyse
from indexer.text.languages import NAMES
from indexer.text.lemmas import DICTIONARIES, _portions, hashes, is_known, lemmas

FAMILIES: dict[str, list[list[str]]] = collections.defaultdict(list)
for line in (Path(__file__).parent / "word_families.txt").read_text("utf-8").splitlines():
    if not line.startswith("#"):
        lang, *forms = line.split()
        FAMILIES[lang].append(forms)
# The share of pairs of forms that have a term in common, as it is, less a little: what is not here has no rules.
LEAST = {
    "ar": 0.85, "bg": 0.9, "bs": 0.95, "ca": 0.95, "cs": 0.95, "cy": 0.5, "da": 0.95, "de": 0.85, "el": 0.95,
    "en": 0.9, "eo": 0.95, "es": 0.7, "et": 0.95, "fa": 0.85, "fi": 0.9, "fr": 0.8, "ga": 0.7, "gd": 0.95,
    "gl": 0.6, "he": 0.85, "hi": 0.95, "hr": 0.9, "hu": 0.75, "hy": 0.95, "id": 0.95, "is": 0.85, "it": 0.8,
    "ka": 0.95, "la": 0.8, "lb": 0.45, "lt": 0.95, "lv": 0.95, "mk": 0.9, "ml": 0.25, "ms": 0.5, "nl": 0.95,
    "no": 0.7, "pl": 0.8, "pt": 0.8, "ro": 0.95, "ru": 0.95, "sk": 0.95, "sl": 0.95, "sq": 0.95, "sr": 0.85,
    "sv": 0.95, "sw": 0.95, "tr": 0.95, "uk": 0.8,
}  # fmt: skip


def share(lang: str) -> float:
    """The pairs of forms of one word that have a stem in common, of all pairs."""
    pairs = [pair for forms in FAMILIES[lang] for pair in itertools.combinations(forms, 2)]
    stems = {form: set(analyse(form, lang).stems.split()) for pair in pairs for form in pair}
    return sum(not stems[a].isdisjoint(stems[b]) for a, b in pairs) / len(pairs)


@pytest.mark.parametrize("lang", sorted(FAMILIES))
def test_forms_of_one_word_find_each_other(lang: str) -> None:
    assert share(lang) >= LEAST.get(lang, 0.0)


def test_there_are_more_than_three_hundred_families_and_most_pairs_are_found() -> None:
    assert sum(map(len, FAMILIES.values())) > 300
    sizes = {
        lang: sum(len(forms) * (len(forms) - 1) // 2 for forms in families)
        for lang, families in FAMILIES.items()
    }
    assert sum(share(lang) * n for lang, n in sizes.items()) / sum(sizes.values()) > 0.85


@pytest.mark.parametrize("lang", sorted(FAMILIES))
def test_words_of_different_families_stay_apart(lang: str) -> None:
    stems = [
        set().union(*(analyse(form, lang).stems.split() for form in forms))
        for forms in FAMILIES[lang]
    ]
    confused = [
        (one, other)
        for (i, one), (j, other) in itertools.combinations(enumerate(stems), 2)
        if not one.isdisjoint(other)
    ]
    assert len(confused) <= 1


def test_the_forms_that_a_stemmer_misses() -> None:
    for lang, one, other in [
        ("cs", "Praze", "Praha"), ("cs", "noze", "noha"), ("cs", "domu", "dům"), ("cs", "psa", "pes"),
        ("en", "mice", "mouse"), ("de", "Häuser", "Haus"), ("sl", "ljudje", "človek"), ("ka", "სახლის", "სახლი"),
    ]:  # fmt: skip
        assert not set(analyse(one, lang).stems.split()).isdisjoint(
            analyse(other, lang).stems.split()
        )


def test_a_dictionary_gives_the_same_one_by_one_and_together() -> None:
    words = ["psa", "praze", "koně", "nohou", "xyzzy", "a", "", "pes", "ulicích"] * 4
    together = lemmas(words, "cs")
    assert together == [lemmas([word], "cs")[0] for word in words]
    assert together[:4] == ["pes", "praha", "kůň", "noha"]
    assert together[4:8] == ["", "", "", ""], "unknown, too short, empty, its own dictionary form"
    assert lemmas(["psa"], "xx") == [""]
    assert len(hashes([])) == 0


def test_every_language_of_the_tables_is_one() -> None:
    assert set(DICTIONARIES) <= set(NAMES)
    assert set(STEMMERS) <= set(NAMES)
    assert set(FAMILIES) <= set(NAMES)


def test_a_form_and_a_lemma_are_known_and_nothing_else() -> None:
    forms, of = next(_portions("ga"))
    for word in {*forms[::500], *of[::500]}:
        assert is_known(word, "ga"), word
    for word in ("zzqzz", forms[0] + "zzq", of[0][:1], ""):
        assert not is_known(word, "ga"), word
